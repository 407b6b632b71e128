-- Messages lie by chat and seq: place = number of the chat << 36 | seq.
CREATE TABLE chat_numbers (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
);
INSERT INTO chat_numbers (id) SELECT id FROM chats ORDER BY id;
CREATE TRIGGER chats_are_numbered AFTER INSERT ON chats
BEGIN
    INSERT OR IGNORE INTO chat_numbers (id) VALUES (new.id);
END;

DROP TRIGGER search_text_changed;
DROP TRIGGER search_text_deleted;
CREATE TABLE message_rows (
    place INTEGER PRIMARY KEY CHECK (place > 68719476736),
    id TEXT NOT NULL,
    author_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    text TEXT NOT NULL,
    is_comment_on TEXT,
    comments INTEGER NOT NULL,
    files TEXT,
    idempotency_key TEXT,
    revision INTEGER NOT NULL,
    edited INTEGER,
    deleted INTEGER,
    mentions TEXT,
    reactions TEXT,
    sent_hash BLOB
);
INSERT INTO message_rows
SELECT n.number << 36 | m.seq, m.id, m.author_id, m.created, m.text,
    m.is_comment_on, m.comments, m.files, m.idempotency_key, m.revision,
    m.edited, m.deleted, m.mentions, m.reactions, m.sent_hash
FROM chat_numbers AS n CROSS JOIN messages AS m ON m.chat_id = n.id
ORDER BY n.number, m.seq;
DROP TABLE messages;
CREATE UNIQUE INDEX messages_by_id ON message_rows (id);
CREATE UNIQUE INDEX messages_by_key
    ON message_rows (author_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX messages_by_target ON message_rows (is_comment_on, place)
    WHERE is_comment_on IS NOT NULL;
CREATE INDEX messages_by_revision ON message_rows (place >> 36, revision)
    WHERE revision > 0;

-- As the other tables refer to them, and for what changes few of them.
CREATE VIEW messages AS
SELECT m.id, n.id AS chat_id, m.place & 68719476735 AS seq, m.author_id,
    m.created, m.text, m.is_comment_on, m.comments, m.files,
    m.idempotency_key, m.revision, m.edited, m.deleted, m.mentions,
    m.reactions, m.sent_hash
FROM message_rows AS m JOIN chat_numbers AS n ON n.number = m.place >> 36;
CREATE TRIGGER messages_updated INSTEAD OF UPDATE ON messages
BEGIN
    UPDATE message_rows SET
        author_id = new.author_id, created = new.created, text = new.text,
        is_comment_on = new.is_comment_on, comments = new.comments,
        files = new.files, idempotency_key = new.idempotency_key,
        revision = new.revision, edited = new.edited,
        deleted = new.deleted, mentions = new.mentions,
        reactions = new.reactions, sent_hash = new.sent_hash
    WHERE id = old.id;
END;
CREATE TRIGGER messages_deleted INSTEAD OF DELETE ON messages
BEGIN
    DELETE FROM message_rows WHERE id = old.id;
END;

-- How many messages each author has in each full block of 1024 seqs, so
-- that own ones need not be counted one by one.
CREATE TABLE authored (
    chat INTEGER NOT NULL,
    author_id TEXT NOT NULL,
    block INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (chat, author_id, block)
) WITHOUT ROWID;
INSERT INTO authored
SELECT n.number, m.author_id, ((m.place & 68719476735) - 1) >> 10, count(*)
FROM chats AS c JOIN chat_numbers AS n ON n.id = c.id
CROSS JOIN message_rows AS m ON m.place > n.number << 36
    AND m.place <= (n.number << 36) + (c.head >> 10 << 10)
GROUP BY 1, 2, 3;
CREATE TRIGGER authored_of_purged AFTER UPDATE OF purged_seq ON chats
WHEN new.purged_seq > old.purged_seq
BEGIN
    DELETE FROM authored WHERE block < new.purged_seq >> 10 AND chat =
        (SELECT number FROM chat_numbers WHERE id = new.id);
END;
CREATE TRIGGER authored_of_deleted AFTER DELETE ON chats
BEGIN
    DELETE FROM authored WHERE chat =
        (SELECT number FROM chat_numbers WHERE id = old.id);
END;

CREATE TRIGGER search_text_changed AFTER UPDATE OF text ON message_rows
WHEN old.text <> new.text
BEGIN
    INSERT INTO search_gone (chat_id, seq, text)
    SELECT id, old.place & 68719476735, old.text
    FROM chat_numbers WHERE number = old.place >> 36;
END;
CREATE TRIGGER search_text_deleted AFTER DELETE ON message_rows
WHEN old.text <> ''
BEGIN
    INSERT INTO search_gone (chat_id, seq, text)
    SELECT id, old.place & 68719476735, old.text
    FROM chat_numbers WHERE number = old.place >> 36;
END;
