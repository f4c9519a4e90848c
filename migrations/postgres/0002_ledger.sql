-- What happened: a view of the journals of all nodes, written by their shippers alone.
-- Digests are 64 hex digits, amounts millionths of a dollar. Rows outlive tenants and users, so nothing here
-- refers to their tables.

-- One row per leaf. Its id is the leaf's own.
CREATE TABLE audit (
    id                uuid PRIMARY KEY,
    occurred_at       timestamptz NOT NULL,
    kind              text NOT NULL,
    request_id        uuid,
    tenant_id         uuid,
    user_id           uuid,
    session_id        text,
    task_id           text,
    trace_id          text,
    context_id        text,
    client_id         text,
    action            text NOT NULL,
    resource          text,
    decision          text,
    reason            text,
    policy_digest     text,
    cost_microdollars bigint,
    detail            jsonb NOT NULL
);

CREATE INDEX audit_by_request ON audit (request_id);
CREATE INDEX audit_by_tenant ON audit (tenant_id, occurred_at);
CREATE INDEX audit_by_time ON audit (occurred_at, id);

-- One row per request to a model API, made by its open leaf and completed by its close, or by its denial.
CREATE TABLE ai_requests (
    request_id            uuid PRIMARY KEY,
    tenant_id             uuid,
    user_id               uuid,
    credential_kind       text,
    credential_id         uuid,
    session_id            text,
    trace_id              text,
    client_session_id     text,
    task_id               text,
    context_id            text,
    client_id             text,
    opened_at             timestamptz NOT NULL,
    closed_at             timestamptz,
    requested_model       text,
    served_model          text,
    upstream              text,
    attempts              jsonb,
    client_dialect        text,
    upstream_dialect      text,
    stream                boolean,
    input_tokens          bigint,
    output_tokens         bigint,
    cache_read_tokens     bigint,
    cache_write_5m_tokens bigint,
    cache_write_1h_tokens bigint,
    thinking_tokens       bigint,
    usage_estimated       boolean,
    cost_microdollars     bigint,
    cost_state            text CHECK (cost_state IN ('priced', 'unknown', 'estimated', 'none')),
    latency_us            bigint,
    ttfb_us               bigint,
    status                bigint,
    outcome               text NOT NULL CHECK (outcome IN (
        'open', 'complete', 'error', 'client_gone', 'interrupted', 'abandoned', 'denied')),
    stop_reason           text,
    error_kind            text,
    upstream_request_id   text,
    request_digest        text,
    sent_digest           text,
    splices               bigint,
    redactions            bigint,
    dropped               jsonb,
    config_generation     bigint
);

CREATE INDEX ai_requests_by_tenant ON ai_requests (tenant_id, opened_at);

-- One row per stage that decided.
CREATE TABLE governance_decisions (
    id                uuid PRIMARY KEY,
    request_id        uuid NOT NULL,
    tenant_id         uuid,
    occurred_at       timestamptz NOT NULL,
    stage             text NOT NULL,
    outcome           text NOT NULL CHECK (outcome IN ('allow', 'deny', 'flag', 'redact')),
    rule              text,
    reason            text,
    facts             jsonb,
    policy_digest     text,
    config_generation bigint,
    duration_us       bigint NOT NULL
);

CREATE INDEX governance_decisions_by_request ON governance_decisions (request_id);

-- How far each history has come here. A node's journal must extend its newest one.
CREATE TABLE ledger_cursors (
    origin     text PRIMARY KEY,
    host       text NOT NULL,
    node       text NOT NULL,
    epoch      bigint NOT NULL,
    size       bigint NOT NULL CHECK (size > 0),
    leaf_hash  text NOT NULL CHECK (length(leaf_hash) = 64),
    shipped_at timestamptz NOT NULL
);
