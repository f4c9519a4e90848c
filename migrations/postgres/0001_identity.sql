-- Who may ask: tenants, users, roles, teams, keys, signing keys, revocations.
-- Names sort by their bytes (COLLATE "C"), whatever the database's own collation is.

CREATE TABLE identity_revision (
    only_row bigint PRIMARY KEY CHECK (only_row = 1),
    revision bigint NOT NULL
);

INSERT INTO identity_revision (only_row, revision) VALUES (1, 1);

-- Every replica listens; who misses it polls. Sent with the commit of the change that raised the revision.
CREATE FUNCTION announce_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tollgate_identity', NEW.revision::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER announce_identity AFTER UPDATE ON identity_revision
    FOR EACH ROW EXECUTE FUNCTION announce_identity();

CREATE TABLE tenants (
    id          uuid PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    disabled_at timestamptz
);

-- Tokens issued before tokens_valid_after (a whole second) are void.
CREATE TABLE users (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL REFERENCES tenants (id),
    name               text COLLATE "C" NOT NULL,
    created_at         timestamptz NOT NULL,
    disabled_at        timestamptz,
    tokens_valid_after timestamptz,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
);

CREATE TABLE roles (
    name        text COLLATE "C" PRIMARY KEY,
    description text NOT NULL
);

INSERT INTO roles (name, description) VALUES
    ('admin',     'administers the installation'),
    ('user',      'a person at work'),
    ('service',   'a program of ours'),
    ('a2a',       'an agent that speaks for another agent'),
    ('mcp',       'an MCP server or client'),
    ('anonymous', 'the least that a credential can be');

CREATE TABLE user_roles (
    user_id   uuid NOT NULL REFERENCES users (id),
    role_name text COLLATE "C" NOT NULL REFERENCES roles (name),
    PRIMARY KEY (user_id, role_name)
);

CREATE TABLE teams (
    tenant_id  uuid NOT NULL REFERENCES tenants (id),
    name       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- The tenant stands in both foreign keys, so that no member can come from another tenant.
CREATE TABLE team_members (
    tenant_id uuid NOT NULL,
    team_name text COLLATE "C" NOT NULL,
    user_id   uuid NOT NULL,
    PRIMARY KEY (tenant_id, team_name, user_id),
    FOREIGN KEY (tenant_id, team_name) REFERENCES teams (tenant_id, name),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);

CREATE INDEX team_members_by_user ON team_members (user_id);

-- The lookup id is the public part of a key; of the secret part only the digest is kept.
CREATE TABLE api_keys (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users (id),
    lookup     text NOT NULL UNIQUE CHECK (length(lookup) = 12),
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    name       text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- The private half is sealed by the vault in the context 'signing-key/<id>'.
CREATE TABLE signing_keys (
    id             uuid PRIMARY KEY,
    public_key     bytea NOT NULL CHECK (length(public_key) = 32),
    sealed_private bytea NOT NULL,
    created_at     timestamptz NOT NULL,
    retired_at     timestamptz
);

-- A row may go once its token has expired anyway.
CREATE TABLE revoked_tokens (
    id          uuid PRIMARY KEY,
    revoked_at  timestamptz NOT NULL,
    valid_until timestamptz NOT NULL
);
