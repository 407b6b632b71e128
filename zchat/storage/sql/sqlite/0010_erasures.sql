-- Users whose texts and files are being deleted, and how far that went.
CREATE TABLE erasures (
    user_id TEXT PRIMARY KEY,
    message_id TEXT NOT NULL,
    messages INTEGER NOT NULL
) WITHOUT ROWID;
