-- The whole schema of the first version.
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)
    WITHOUT ROWID;

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    inbox_number INTEGER NOT NULL,
    inbox_secret BLOB NOT NULL,
    quota_started INTEGER,
    quota_used INTEGER NOT NULL,
    banned_until INTEGER,
    warnings_round INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    owner_id TEXT,
    pair TEXT UNIQUE,
    created INTEGER NOT NULL,
    head INTEGER NOT NULL,
    gone_through INTEGER NOT NULL,
    size INTEGER NOT NULL,
    key_number INTEGER NOT NULL,
    key_secret BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE members (
    chat_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    joined INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    expired_through INTEGER NOT NULL,
    PRIMARY KEY (chat_id, user_id)
) WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id, chat_id);
CREATE INDEX members_by_standing ON members (chat_id, joined, user_id);

CREATE TABLE messages (
    id TEXT NOT NULL UNIQUE,
    chat_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    author_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    text TEXT NOT NULL,
    is_comment_on TEXT,
    comments INTEGER NOT NULL,
    files TEXT,
    idempotency_key TEXT
);
CREATE UNIQUE INDEX messages_by_seq ON messages (chat_id, seq);
CREATE INDEX messages_by_author ON messages (chat_id, author_id, seq);
CREATE UNIQUE INDEX messages_by_key ON messages (author_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX messages_by_target ON messages (is_comment_on, seq)
    WHERE is_comment_on IS NOT NULL;

CREATE TABLE complaints (
    id TEXT PRIMARY KEY,
    offender_id TEXT NOT NULL,
    round INTEGER NOT NULL,
    reporter_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    message_id TEXT,
    evidence TEXT,
    created INTEGER NOT NULL,
    UNIQUE (offender_id, round, reporter_id)
) WITHOUT ROWID;

CREATE TABLE scheduled (
    id TEXT PRIMARY KEY,
    author_id TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    text TEXT NOT NULL,
    is_comment_on TEXT,
    file_ids TEXT,
    send_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    created INTEGER NOT NULL,
    idempotency_key TEXT,
    message_id TEXT
) WITHOUT ROWID;
CREATE INDEX scheduled_by_author ON scheduled (author_id, send_at);
CREATE INDEX scheduled_pending ON scheduled (send_at, id)
    WHERE state = 'pending';
CREATE INDEX scheduled_by_message ON scheduled (message_id)
    WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX scheduled_by_key
    ON scheduled (author_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE files (
    id TEXT PRIMARY KEY,
    chat_id TEXT NOT NULL,
    uploader_id TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    received INTEGER NOT NULL,
    message_id TEXT,
    scheduled_id TEXT,
    created INTEGER NOT NULL,
    resume_key TEXT UNIQUE
) WITHOUT ROWID;
CREATE INDEX files_by_message ON files (message_id)
    WHERE message_id IS NOT NULL;
CREATE INDEX files_unattached ON files (uploader_id)
    WHERE message_id IS NULL;
CREATE INDEX files_stale ON files (created)
    WHERE message_id IS NULL AND scheduled_id IS NULL;
CREATE INDEX files_by_chat ON files (chat_id);

CREATE TABLE file_chunks (
    file_id TEXT NOT NULL,
    "offset" INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX file_chunks_by_offset
    ON file_chunks (file_id, "offset");

CREATE TABLE links (
    id TEXT PRIMARY KEY,
    link_hash BLOB NOT NULL UNIQUE,
    chat_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    max_uses INTEGER,
    uses INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX links_by_chat ON links (chat_id, created);

CREATE TABLE join_requests (
    chat_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    link_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (chat_id, user_id)
) WITHOUT ROWID;

CREATE TABLE deliveries (
    chat_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (chat_id, user_id, seq)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_time ON deliveries (at);
