-- Which revision of a chat told a member's last change of name: whoever was
-- away learns the name by it.
ALTER TABLE members ADD COLUMN renamed bigint NOT NULL DEFAULT 0;
CREATE INDEX members_by_renamed ON members (chat_id, renamed)
WHERE renamed > 0;
