-- Texts that are gone, kept until they are out of the search index too.
CREATE TABLE search_gone (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    chat_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE TRIGGER search_text_changed AFTER UPDATE OF text ON messages
WHEN old.text <> new.text
BEGIN
    INSERT INTO search_gone (chat_id, seq, text)
    VALUES (old.chat_id, old.seq, old.text);
END;
CREATE TRIGGER search_text_deleted AFTER DELETE ON messages
WHEN old.text <> ''
BEGIN
    INSERT INTO search_gone (chat_id, seq, text)
    VALUES (old.chat_id, old.seq, old.text);
END;
