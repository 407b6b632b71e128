-- What operators and moderators do, and who is let in.
ALTER TABLE users ADD COLUMN closed INTEGER;
CREATE INDEX users_with_roles ON users (id) WHERE role <> 'member';

ALTER TABLE complaints ADD COLUMN state TEXT NOT NULL DEFAULT 'open';
CREATE INDEX complaints_by_state ON complaints (state, id);

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    subject_id TEXT,
    detail TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE invites (
    id TEXT PRIMARY KEY,
    code_hash BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    max_uses INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;
