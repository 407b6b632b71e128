-- From which message on all members of a group may see its messages.
ALTER TABLE chats ADD COLUMN shared_from INTEGER NOT NULL DEFAULT 0;
UPDATE chats SET shared_from = coalesce(
    (SELECT max(first_seq) FROM members WHERE chat_id = chats.id), 0)
WHERE kind = 'group';
