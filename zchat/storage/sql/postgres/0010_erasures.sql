-- Users whose texts and files are being deleted, and how far that went.
CREATE TABLE erasures (
    user_id uuid PRIMARY KEY,
    message_id uuid NOT NULL,
    messages bigint NOT NULL
);
