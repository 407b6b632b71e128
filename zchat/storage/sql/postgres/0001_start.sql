-- The whole schema of the first version.
-- Rows that change all the time leave room on their page, so that a
-- change touches no index (HOT); bytes are not compressed in vain.
CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL UNIQUE,
    created bigint NOT NULL,
    inbox_number bigint NOT NULL,
    inbox_secret bytea NOT NULL,
    quota_started bigint,
    quota_used bigint NOT NULL,
    banned_until bigint,
    warnings_round bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE chats (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    owner_id uuid,
    pair text COLLATE "C" UNIQUE,
    created bigint NOT NULL,
    head bigint NOT NULL,
    gone_through bigint NOT NULL,
    size bigint NOT NULL,
    key_number bigint NOT NULL,
    key_secret bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE members (
    chat_id uuid NOT NULL,
    user_id uuid NOT NULL,
    joined bigint NOT NULL,
    first_seq bigint NOT NULL,
    read_seq bigint NOT NULL,
    expired_through bigint NOT NULL,
    PRIMARY KEY (chat_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX members_by_user ON members (user_id, chat_id);
CREATE INDEX members_by_standing ON members (chat_id, joined, user_id);

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    chat_id uuid NOT NULL,
    seq bigint NOT NULL,
    author_id uuid NOT NULL,
    created bigint NOT NULL,
    text text NOT NULL,
    is_comment_on uuid,
    comments bigint NOT NULL,
    files text,
    idempotency_key text COLLATE "C"
);
CREATE UNIQUE INDEX messages_by_seq ON messages (chat_id, seq);
CREATE INDEX messages_by_author ON messages (chat_id, author_id, seq);
CREATE UNIQUE INDEX messages_by_key ON messages (author_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX messages_by_target ON messages (is_comment_on, seq)
    WHERE is_comment_on IS NOT NULL;

CREATE TABLE complaints (
    id uuid PRIMARY KEY,
    offender_id uuid NOT NULL,
    round bigint NOT NULL,
    reporter_id uuid NOT NULL,
    reason text NOT NULL,
    message_id uuid,
    evidence text,
    created bigint NOT NULL,
    UNIQUE (offender_id, round, reporter_id)
);

CREATE TABLE scheduled (
    id uuid PRIMARY KEY,
    author_id uuid NOT NULL,
    chat_id uuid NOT NULL,
    text text NOT NULL,
    is_comment_on uuid,
    file_ids text,
    send_at bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    error text,
    created bigint NOT NULL,
    idempotency_key text COLLATE "C",
    message_id uuid
);
CREATE INDEX scheduled_by_author ON scheduled (author_id, send_at);
CREATE INDEX scheduled_pending ON scheduled (send_at, id)
    WHERE state = 'pending';
CREATE INDEX scheduled_by_message ON scheduled (message_id)
    WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX scheduled_by_key
    ON scheduled (author_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE files (
    id uuid PRIMARY KEY,
    chat_id uuid NOT NULL,
    uploader_id uuid NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    received bigint NOT NULL,
    message_id uuid,
    scheduled_id uuid,
    created bigint NOT NULL,
    resume_key text COLLATE "C" UNIQUE
) WITH (fillfactor = 80);
CREATE INDEX files_by_message ON files (message_id)
    WHERE message_id IS NOT NULL;
CREATE INDEX files_unattached ON files (uploader_id)
    WHERE message_id IS NULL;
CREATE INDEX files_stale ON files (created)
    WHERE message_id IS NULL AND scheduled_id IS NULL;
CREATE INDEX files_by_chat ON files (chat_id);

CREATE TABLE file_chunks (
    file_id uuid NOT NULL,
    "offset" bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (file_id, "offset")
);
ALTER TABLE file_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE links (
    id uuid PRIMARY KEY,
    link_hash bytea NOT NULL UNIQUE,
    chat_id uuid NOT NULL,
    created bigint NOT NULL,
    expires_at bigint NOT NULL,
    max_uses bigint,
    uses bigint NOT NULL,
    revoked_at bigint
);
CREATE INDEX links_by_chat ON links (chat_id, created);

CREATE TABLE join_requests (
    chat_id uuid NOT NULL,
    user_id uuid NOT NULL,
    link_id uuid NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (chat_id, user_id)
);

CREATE TABLE deliveries (
    chat_id uuid NOT NULL,
    user_id uuid NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (chat_id, user_id, seq)
);
CREATE INDEX deliveries_by_time ON deliveries (at);
