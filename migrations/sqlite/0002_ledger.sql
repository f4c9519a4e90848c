-- What happened: a view of the journals of all nodes, written by their shippers alone.
-- Ids are UUIDs as text, digests 64 hex digits, moments microseconds since 1970 (UTC), amounts millionths
-- of a dollar. Rows outlive tenants and users, so nothing here refers to their tables.

-- One row per leaf. Its id is the leaf's own.
CREATE TABLE audit (
    id                TEXT PRIMARY KEY,
    occurred_at       INTEGER NOT NULL,
    kind              TEXT NOT NULL,
    request_id        TEXT,
    tenant_id         TEXT,
    user_id           TEXT,
    session_id        TEXT,
    task_id           TEXT,
    trace_id          TEXT,
    context_id        TEXT,
    client_id         TEXT,
    action            TEXT NOT NULL,
    resource          TEXT,
    decision          TEXT,
    reason            TEXT,
    policy_digest     TEXT,
    cost_microdollars INTEGER,
    detail            TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_request ON audit (request_id);
CREATE INDEX audit_by_tenant ON audit (tenant_id, occurred_at);

-- One row per request to a model API, made by its open leaf and completed by its close, or by its denial.
CREATE TABLE ai_requests (
    request_id            TEXT PRIMARY KEY,
    tenant_id             TEXT,
    user_id               TEXT,
    credential_kind       TEXT,
    credential_id         TEXT,
    session_id            TEXT,
    trace_id              TEXT,
    client_session_id     TEXT,
    task_id               TEXT,
    context_id            TEXT,
    client_id             TEXT,
    opened_at             INTEGER NOT NULL,
    closed_at             INTEGER,
    requested_model       TEXT,
    served_model          TEXT,
    upstream              TEXT,
    attempts              TEXT,
    client_dialect        TEXT,
    upstream_dialect      TEXT,
    stream                INTEGER,
    input_tokens          INTEGER,
    output_tokens         INTEGER,
    cache_read_tokens     INTEGER,
    cache_write_5m_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    thinking_tokens       INTEGER,
    usage_estimated       INTEGER,
    cost_microdollars     INTEGER,
    cost_state            TEXT CHECK (cost_state IN ('priced', 'unknown', 'estimated', 'none')),
    latency_us            INTEGER,
    ttfb_us               INTEGER,
    status                INTEGER,
    outcome               TEXT NOT NULL CHECK (outcome IN (
        'open', 'complete', 'error', 'client_gone', 'interrupted', 'abandoned', 'denied')),
    stop_reason           TEXT,
    error_kind            TEXT,
    upstream_request_id   TEXT,
    request_digest        TEXT,
    sent_digest           TEXT,
    splices               INTEGER,
    redactions            INTEGER,
    dropped               TEXT,
    config_generation     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX ai_requests_by_tenant ON ai_requests (tenant_id, opened_at);

-- One row per stage that decided.
CREATE TABLE governance_decisions (
    id                TEXT PRIMARY KEY,
    request_id        TEXT NOT NULL,
    tenant_id         TEXT,
    occurred_at       INTEGER NOT NULL,
    stage             TEXT NOT NULL,
    outcome           TEXT NOT NULL CHECK (outcome IN ('allow', 'deny', 'flag', 'redact')),
    rule              TEXT,
    reason            TEXT,
    facts             TEXT,
    policy_digest     TEXT,
    config_generation INTEGER,
    duration_us       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX governance_decisions_by_request ON governance_decisions (request_id);

-- How far each history has come here. A node's journal must extend its newest one.
CREATE TABLE ledger_cursors (
    origin     TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    node       TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    size       INTEGER NOT NULL CHECK (size > 0),
    leaf_hash  TEXT NOT NULL CHECK (length(leaf_hash) = 64),
    shipped_at INTEGER NOT NULL
) STRICT;
