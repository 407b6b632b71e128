-- What happens to a message after it was sent, and who is there.
ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'member';
ALTER TABLE users ADD COLUMN last_seen INTEGER;
ALTER TABLE users ADD COLUMN receipts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN inbox INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN name_skeleton TEXT;
CREATE UNIQUE INDEX users_by_skeleton ON users (name_skeleton)
    WHERE name_skeleton IS NOT NULL;
CREATE INDEX users_without_skeleton ON users (id)
    WHERE name_skeleton IS NULL;

ALTER TABLE chats ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE INDEX chats_by_owner ON chats (owner_id) WHERE owner_id IS NOT NULL;

ALTER TABLE messages ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN edited INTEGER;
ALTER TABLE messages ADD COLUMN deleted INTEGER;
ALTER TABLE messages ADD COLUMN mentions TEXT;
ALTER TABLE messages ADD COLUMN reactions TEXT;
ALTER TABLE messages ADD COLUMN sent_hash BLOB;
CREATE INDEX messages_by_revision ON messages (chat_id, revision)
    WHERE revision > 0;

CREATE TABLE edits (
    author_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    text_hash BLOB NOT NULL,
    revision INTEGER NOT NULL,
    edited INTEGER NOT NULL,
    PRIMARY KEY (author_id, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX edits_by_message ON edits (message_id);

CREATE TABLE reactors (
    message_id TEXT NOT NULL,
    emoji TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (message_id, emoji, user_id)
) WITHOUT ROWID;
CREATE INDEX reactors_by_age
    ON reactors (message_id, emoji, created, user_id);

CREATE TABLE mentions (
    user_id TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (user_id, chat_id, seq)
) WITHOUT ROWID;
CREATE INDEX mentions_by_message ON mentions (chat_id, seq);
