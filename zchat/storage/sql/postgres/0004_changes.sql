-- What happens to a message after it was sent, and who is there.
ALTER TABLE users ADD COLUMN role text NOT NULL DEFAULT 'member';
ALTER TABLE users ADD COLUMN last_seen bigint;
ALTER TABLE users ADD COLUMN receipts bigint NOT NULL DEFAULT 1;
ALTER TABLE users ADD COLUMN inbox bigint NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN name_skeleton text COLLATE "C";
CREATE UNIQUE INDEX users_by_skeleton ON users (name_skeleton)
    WHERE name_skeleton IS NOT NULL;
CREATE INDEX users_without_skeleton ON users (id)
    WHERE name_skeleton IS NULL;

ALTER TABLE chats ADD COLUMN revision bigint NOT NULL DEFAULT 0;
CREATE INDEX chats_by_owner ON chats (owner_id) WHERE owner_id IS NOT NULL;

ALTER TABLE messages ADD COLUMN revision bigint NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN edited bigint;
ALTER TABLE messages ADD COLUMN deleted bigint;
ALTER TABLE messages ADD COLUMN mentions text;
ALTER TABLE messages ADD COLUMN reactions text;
ALTER TABLE messages ADD COLUMN sent_hash bytea;
CREATE INDEX messages_by_revision ON messages (chat_id, revision)
    WHERE revision > 0;

CREATE TABLE edits (
    author_id uuid NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    message_id uuid NOT NULL,
    text_hash bytea NOT NULL,
    revision bigint NOT NULL,
    edited bigint NOT NULL,
    PRIMARY KEY (author_id, idempotency_key)
);
CREATE INDEX edits_by_message ON edits (message_id);

CREATE TABLE reactors (
    message_id uuid NOT NULL,
    emoji text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (message_id, emoji, user_id)
);
CREATE INDEX reactors_by_age
    ON reactors (message_id, emoji, created, user_id);

CREATE TABLE mentions (
    user_id uuid NOT NULL,
    chat_id uuid NOT NULL,
    seq bigint NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (user_id, chat_id, seq)
);
CREATE INDEX mentions_by_message ON mentions (chat_id, seq);
