-- What operators and moderators do, and who is let in.
ALTER TABLE users ADD COLUMN closed bigint;
CREATE INDEX users_with_roles ON users (id) WHERE role <> 'member';

ALTER TABLE complaints ADD COLUMN state text NOT NULL DEFAULT 'open';
CREATE INDEX complaints_by_state ON complaints (state, id);

CREATE TABLE audit (
    id uuid PRIMARY KEY,
    created bigint NOT NULL,
    actor_id uuid,
    action text NOT NULL,
    subject_id uuid,
    detail text NOT NULL
);

CREATE TABLE invites (
    id uuid PRIMARY KEY,
    code_hash bytea NOT NULL UNIQUE,
    created bigint NOT NULL,
    expires_at bigint NOT NULL,
    max_uses bigint NOT NULL,
    uses bigint NOT NULL,
    revoked_at bigint
);
