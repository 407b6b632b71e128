-- Statistics keep values, also of texts that were deleted since; nothing
-- asks for texts by value. A change of type forgets what was kept.
DROP TRIGGER search_text_changed ON messages;
ALTER TABLE messages ALTER COLUMN text TYPE text,
    ALTER COLUMN text SET STATISTICS 0;
CREATE TRIGGER search_text_changed AFTER UPDATE OF text ON messages
    FOR EACH ROW WHEN (old.text IS DISTINCT FROM new.text)
    EXECUTE FUNCTION search_text_changed();
ALTER TABLE scheduled ALTER COLUMN text TYPE text,
    ALTER COLUMN text SET STATISTICS 0;
ALTER TABLE complaints ALTER COLUMN evidence TYPE text,
    ALTER COLUMN evidence SET STATISTICS 0;

-- The trigrams of several blocks are put into their places together.
ALTER INDEX search_blocks_by_grams
    SET (fastupdate = on, gin_pending_list_limit = 512);
