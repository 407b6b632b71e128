-- The bytes of a chunk with a size lie in a file beside the store.
ALTER TABLE file_chunks ADD COLUMN size INTEGER;

-- Files whose bytes are to be removed, once that is committed.
CREATE TABLE files_gone (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TRIGGER files_removed AFTER DELETE ON files
BEGIN
    INSERT OR IGNORE INTO files_gone (id) VALUES (old.id);
END;
