-- Who may ask: tenants, users, roles, teams, keys, signing keys, revocations.
-- Ids are UUIDs as text, moments are microseconds since 1970 (UTC).

CREATE TABLE identity_revision (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO identity_revision (only_row, revision) VALUES (1, 1);

CREATE TABLE tenants (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT;

-- Tokens issued before tokens_valid_after (a whole second) are void.
CREATE TABLE users (
    id                 TEXT PRIMARY KEY,
    tenant_id          TEXT NOT NULL REFERENCES tenants (id),
    name               TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    disabled_at        INTEGER,
    tokens_valid_after INTEGER,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
) STRICT;

CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL
) STRICT;

INSERT INTO roles (name, description) VALUES
    ('admin',     'administers the installation'),
    ('user',      'a person at work'),
    ('service',   'a program of ours'),
    ('a2a',       'an agent that speaks for another agent'),
    ('mcp',       'an MCP server or client'),
    ('anonymous', 'the least that a credential can be');

CREATE TABLE user_roles (
    user_id   TEXT NOT NULL REFERENCES users (id),
    role_name TEXT NOT NULL REFERENCES roles (name),
    PRIMARY KEY (user_id, role_name)
) STRICT;

CREATE TABLE teams (
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT;

-- The tenant stands in both foreign keys, so that no member can come from another tenant.
CREATE TABLE team_members (
    tenant_id TEXT NOT NULL,
    team_name TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    PRIMARY KEY (tenant_id, team_name, user_id),
    FOREIGN KEY (tenant_id, team_name) REFERENCES teams (tenant_id, name),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
) STRICT;

CREATE INDEX team_members_by_user ON team_members (user_id);

-- The lookup id is the public part of a key; of the secret part only the digest is kept.
CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id),
    lookup     TEXT NOT NULL UNIQUE CHECK (length(lookup) = 12),
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- The private half is sealed by the vault in the context 'signing-key/<id>'.
CREATE TABLE signing_keys (
    id             TEXT PRIMARY KEY,
    public_key     BLOB NOT NULL CHECK (length(public_key) = 32),
    sealed_private BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    retired_at     INTEGER
) STRICT;

-- A row may go once its token has expired anyway.
CREATE TABLE revoked_tokens (
    id          TEXT PRIMARY KEY,
    revoked_at  INTEGER NOT NULL,
    valid_until INTEGER NOT NULL
) STRICT;
