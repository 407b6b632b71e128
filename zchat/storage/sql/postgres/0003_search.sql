-- The search index: which trigrams stand in each 64 messages of a chat.
-- It is written by one broker at a time, behind the sends' backs.
CREATE TABLE search_chats (
    chat_id uuid PRIMARY KEY,
    blocks bigint NOT NULL
);
CREATE TABLE search_blocks (
    chat_id uuid NOT NULL,
    block bigint NOT NULL,
    first_id uuid NOT NULL,
    grams integer[] NOT NULL,
    PRIMARY KEY (chat_id, block)
);
CREATE INDEX search_blocks_by_id ON search_blocks (chat_id, first_id);
CREATE INDEX search_blocks_by_grams ON search_blocks USING gin (grams)
    WITH (fastupdate = off);

-- Blocks to be written anew, since a text of theirs changed or went.
CREATE TABLE search_dirty (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id uuid NOT NULL,
    block bigint NOT NULL
);
CREATE FUNCTION search_text_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_dirty (chat_id, block)
    VALUES (old.chat_id, (old.seq - 1) / 64);
    RETURN NULL;
END $$;
CREATE FUNCTION search_texts_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_dirty (chat_id, block)
    SELECT DISTINCT chat_id, (seq - 1) / 64 FROM gone;
    RETURN NULL;
END $$;
CREATE TRIGGER search_text_changed AFTER UPDATE OF text ON messages
    FOR EACH ROW WHEN (old.text IS DISTINCT FROM new.text)
    EXECUTE FUNCTION search_text_changed();
CREATE TRIGGER search_texts_deleted AFTER DELETE ON messages
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
    EXECUTE FUNCTION search_texts_deleted();
