-- The field has the name of what it holds.
ALTER TABLE chats RENAME COLUMN gone_through TO purged_seq;
