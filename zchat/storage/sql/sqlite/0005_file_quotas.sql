-- A user's files are counted whenever an upload begins.
CREATE INDEX files_by_uploader ON files (uploader_id, message_id, size);
DROP INDEX files_unattached;
