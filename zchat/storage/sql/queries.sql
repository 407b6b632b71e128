-- name: messages_before
-- The newest messages below a seq that are above a floor, newest first.
SELECT {messages}
FROM messages AS m JOIN users AS u ON u.id = m.author_id
WHERE m.chat_id = :chat_id AND m.seq > :floor AND m.seq < :before
ORDER BY m.seq DESC LIMIT :limit;

-- name: messages_after
-- The oldest messages above a seq, oldest first.
SELECT {messages}
FROM messages AS m JOIN users AS u ON u.id = m.author_id
WHERE m.chat_id = :chat_id AND m.seq > :after
ORDER BY m.seq LIMIT :limit;

-- name: unread_after
-- The oldest messages of others above a seq, oldest first.
SELECT {messages}
FROM messages AS m JOIN users AS u ON u.id = m.author_id
WHERE m.chat_id = :chat_id AND m.seq > :after AND m.author_id <> :user_id
ORDER BY m.seq LIMIT :limit;

-- name: comments_on
-- The comments on a message above a seq, oldest first.
SELECT {messages}
FROM messages AS m JOIN users AS u ON u.id = m.author_id
WHERE m.is_comment_on = :message_id AND m.seq > :after
ORDER BY m.seq LIMIT :limit;

-- name: changed_after
-- The messages that changed after a revision and are above a floor, in
-- the order of their last changes.
SELECT {messages}
FROM messages AS m JOIN users AS u ON u.id = m.author_id
WHERE m.chat_id = :chat_id AND m.revision > :after AND m.revision > 0
  AND m.seq > :floor
ORDER BY m.revision LIMIT :limit;

-- name: reactors_on
-- The first users who put an emoji on a message.
SELECT user_id AS id FROM reactors
WHERE message_id = :message_id AND emoji = :emoji
ORDER BY created, user_id LIMIT :limit;

-- name: mentions_of
-- How many unread messages mention the user, by chat.
SELECT m.chat_id AS id, count(*) AS count
FROM members AS m JOIN mentions AS n
  ON n.user_id = m.user_id AND n.chat_id = m.chat_id
WHERE m.user_id = :user_id AND n.seq > m.read_seq
GROUP BY m.chat_id;

-- name: requests_of_owner
-- How many wait to come into each group of the owner.
SELECT c.id, count(*) AS count
FROM chats AS c JOIN join_requests AS r ON r.chat_id = c.id
WHERE c.owner_id = :user_id
GROUP BY c.id;

-- name: count_own
-- How many messages of the chat above a seq the user wrote.
SELECT count(*) AS count FROM messages
WHERE chat_id = :chat_id AND author_id = :user_id AND seq > :after;

-- name: expired_for
-- Up to where a member's messages were delivered at or before a time.
SELECT max(seq) AS seq FROM deliveries
WHERE chat_id = :chat_id AND user_id = :user_id AND at <= :at;

-- name: delivered_to
-- Up to where messages were ever delivered to a user, also as an earlier
-- member, and up to where at or before a time.
SELECT max(seq) AS through,
       max(CASE WHEN at <= :at THEN seq END) AS expired
FROM deliveries
WHERE chat_id = :chat_id AND user_id = :user_id;

-- name: chats_of_user
-- A page of the user's chats by id, the common one left out.
SELECT chat_id AS id FROM members
WHERE user_id = :user_id AND chat_id > :after AND chat_id <> :common_id
ORDER BY chat_id LIMIT :limit;

-- name: recent_chats
-- Chats with messages since a time, told by their ids.
SELECT DISTINCT chat_id AS id FROM messages WHERE id >= :first_id;

-- name: count_chats
SELECT count(*) AS count FROM chats;

-- name: count_chats_of_user
SELECT count(*) AS count FROM members WHERE user_id = :user_id;

-- name: members_page
-- A page of the chat's members by user id.
SELECT u.id, u.name
FROM members AS m JOIN users AS u ON u.id = m.user_id
WHERE m.chat_id = :chat_id AND m.user_id > :after
ORDER BY m.user_id LIMIT :limit;

-- name: renamed_after
-- Members whose last change of name came after a revision, latest first.
SELECT u.id, u.name, m.renamed AS revision
FROM members AS m JOIN users AS u ON u.id = m.user_id
WHERE m.chat_id = :chat_id AND m.renamed > :after AND m.renamed > 0
ORDER BY m.renamed DESC LIMIT :limit;

-- name: listed_members
-- A page of the chat's members by user id, with what others may know.
SELECT u.id, u.name, u.role, u.last_seen, u.receipts, m.read_seq
FROM members AS m JOIN users AS u ON u.id = m.user_id
WHERE m.chat_id = :chat_id AND m.user_id > :after
ORDER BY m.user_id LIMIT :limit;

-- name: plain_names
-- Users whose names were never compared by their looks.
SELECT id FROM users WHERE name_skeleton IS NULL ORDER BY id LIMIT :limit;

-- name: shared_chats
-- 1 where two users are in some chat together, else 0.
SELECT CASE WHEN EXISTS (
    SELECT 1 FROM members AS a JOIN members AS b USING (chat_id)
    WHERE a.user_id = :user_id AND b.user_id = :other_id
) THEN 1 ELSE 0 END AS count;

-- name: next_owner
-- The longest-standing other members of the chat.
SELECT user_id AS id FROM members
WHERE chat_id = :chat_id AND user_id <> :user_id
ORDER BY joined, user_id LIMIT 1;

-- name: count_reporters
-- How many complained about the user in a round whose complaints count:
-- the account is old enough, and wrote enough to the common chat.
SELECT count(*) AS count
FROM complaints AS c JOIN users AS u ON u.id = c.reporter_id
WHERE c.offender_id = :offender_id AND c.round = :round
  AND c.state <> 'dismissed' AND u.created <= :made_by
  AND :messages <= (SELECT count(*) FROM (
      SELECT 1 FROM messages AS m
      WHERE m.chat_id = :common_id AND m.author_id = u.id
      LIMIT :messages) AS few);

-- name: count_few_messages
-- How many messages a user wrote to a chat, up to a few.
SELECT count(*) AS count FROM (
    SELECT 1 FROM messages
    WHERE chat_id = :chat_id AND author_id = :user_id
    LIMIT :limit) AS few;

-- name: count_all
-- How much there is in the store; messages are all that were ever sent.
SELECT
    (SELECT count(*) FROM users) AS users,
    (SELECT count(*) FROM chats) AS chats,
    (SELECT coalesce(sum(head), 0) FROM chats) AS messages,
    (SELECT count(*) FROM files WHERE resume_key IS NULL) AS files,
    (SELECT coalesce(sum(size), 0) FROM files
     WHERE resume_key IS NULL) AS file_bytes,
    (SELECT count(*) FROM scheduled WHERE state = 'pending') AS scheduled,
    (SELECT count(*) FROM complaints WHERE state = 'open') AS complaints;

-- name: accounts_page
-- A page of accounts by id, between two ids and two names. '' means any
-- role, -1 banned or not.
SELECT u.id, u.name, u.role, u.created, u.last_seen, u.banned_until,
    u.closed,
    (SELECT count(*) FROM complaints AS c
     WHERE c.offender_id = u.id AND c.state <> 'dismissed'
       AND c.round = u.warnings_round
           + CASE WHEN u.banned_until <= :now THEN 1 ELSE 0 END) AS warnings,
    (SELECT count(*) FROM members AS m WHERE m.user_id = u.id) AS chats,
    (SELECT count(*) FROM scheduled AS s
     WHERE s.author_id = u.id AND s.state = 'pending') AS scheduled
FROM users AS u
WHERE u.id > :after AND u.name_key >= :name AND u.name_key < :beyond
  AND u.id >= :first_id AND u.id <= :last_id
  AND (:role = '' OR u.role = :role)
  AND (:banned = -1
       OR CASE WHEN u.banned_until > :now THEN 1 ELSE 0 END = :banned)
ORDER BY u.id LIMIT :limit;

-- name: complaints_page
-- A page of complaints, oldest first; state '' means all.
SELECT c.id, c.reporter_id, r.name AS reporter_name, c.offender_id,
       o.name AS offender_name, c.reason, c.message_id, c.evidence,
       c.created, c.state
FROM complaints AS c
JOIN users AS r ON r.id = c.reporter_id
JOIN users AS o ON o.id = c.offender_id
WHERE c.id > :after AND (:state = '' OR c.state = :state)
ORDER BY c.id LIMIT :limit;

-- name: audit_page
-- A page of the audit log, newest first.
SELECT a.id, a.created, a.actor_id, u.name AS actor_name, a.action,
       a.subject_id, s.name AS subject_name, a.detail
FROM audit AS a
LEFT JOIN users AS u ON u.id = a.actor_id
LEFT JOIN users AS s ON s.id = a.subject_id
WHERE a.id < :before
ORDER BY a.id DESC LIMIT :limit;

-- name: live_invites
-- The invites that still let somebody in, newest first.
SELECT id, code_hash, created, expires_at, max_uses, uses, revoked_at
FROM invites
WHERE revoked_at IS NULL AND expires_at > :at AND uses < max_uses
ORDER BY created DESC, id LIMIT :limit;

-- name: release_scheduled_files
-- Files of a user's waiting messages are on none from now on.
UPDATE files SET scheduled_id = NULL, created = :now
WHERE scheduled_id IN (
    SELECT id FROM scheduled
    WHERE author_id = :user_id AND state = 'pending');

-- name: cancel_scheduled
UPDATE scheduled SET state = 'cancelled'
WHERE author_id = :user_id AND state = 'pending';

-- name: withdraw_requests
-- A user waits to come into no group any longer.
DELETE FROM join_requests WHERE user_id = :user_id;

-- name: scheduled_of
-- The latest of the author's scheduled messages, by time; state ''
-- means all.
SELECT * FROM (
    SELECT id, author_id, chat_id, text, is_comment_on, file_ids, send_at,
           state, error, created, idempotency_key, message_id
    FROM scheduled
    WHERE author_id = :author_id AND (:state = '' OR state = :state)
    ORDER BY send_at DESC, id DESC LIMIT :limit
) AS latest
ORDER BY send_at, id;

-- name: count_pending
SELECT count(*) AS count FROM scheduled
WHERE author_id = :author_id AND state = 'pending';

-- name: due
-- The scheduled messages whose time has come, in order.
SELECT id, author_id, chat_id, text, is_comment_on, file_ids, send_at,
       state, error, created, idempotency_key, message_id
FROM scheduled
WHERE state = 'pending' AND send_at <= :at
ORDER BY send_at, id LIMIT :limit {skip_locked};

-- name: files_of
-- How many of a user's files are on no message, what those take, and what
-- all take; each counts for `least` bytes at least.
SELECT count(*) - count(message_id) AS unattached,
       CAST(coalesce(sum(CASE
           WHEN message_id IS NOT NULL THEN 0
           WHEN size < :least THEN :least ELSE size END), 0) AS BIGINT)
           AS unattached_bytes,
       CAST(coalesce(sum(CASE
           WHEN size < :least THEN :least ELSE size END), 0) AS BIGINT)
           AS bytes
FROM files WHERE uploader_id = :user_id;

-- name: server_totals
-- How many users there are, and what all files take.
SELECT (SELECT count(*) FROM users) AS users,
       (SELECT CAST(coalesce(sum(CASE
            WHEN size < :least THEN :least ELSE size END), 0) AS BIGINT)
        FROM files) AS file_bytes;

-- name: stale_uploads
-- Files that were never attached, begun at or before a time.
SELECT id, chat_id, uploader_id, name, size, sha256, received,
       message_id, scheduled_id, created, resume_key
FROM files
WHERE message_id IS NULL AND scheduled_id IS NULL AND created <= :at
ORDER BY created LIMIT :limit {skip_locked};

-- name: next_erasure
-- A user whose texts and files are to go.
SELECT user_id, message_id, messages FROM erasures
ORDER BY user_id LIMIT 1 {skip_locked};

-- name: end_of_messages
-- The message of any chat that comes so many behind an id.
SELECT id FROM messages WHERE id > :after
ORDER BY id LIMIT 1 OFFSET :skipped;

-- name: messages_of_author
-- A page of what a user wrote and nobody deleted, between two ids.
SELECT id FROM messages
WHERE id > :after AND id <= :through AND author_id = :user_id
  AND deleted IS NULL
ORDER BY id LIMIT :limit;

-- name: uploads_of
-- Files of a user that are on no message.
SELECT id FROM files
WHERE uploader_id = :user_id AND message_id IS NULL
ORDER BY id LIMIT :limit;

-- name: chunks_of
-- The chunks of a file from an offset on, in order.
SELECT file_id, "offset", data FROM file_chunks
WHERE file_id = :file_id AND "offset" >= :offset
ORDER BY "offset" LIMIT :limit;

-- name: links_of
-- The live links of a chat, newest first.
SELECT id, link_hash, chat_id, created, expires_at, max_uses, uses,
       revoked_at
FROM links
WHERE chat_id = :chat_id AND revoked_at IS NULL AND expires_at > :at
  AND (max_uses IS NULL OR uses < max_uses)
ORDER BY created DESC, id LIMIT :limit;

-- name: join_requests_of
-- Who waits to come into the chat, longest first.
SELECT chat_id, user_id, link_id, created FROM join_requests
WHERE chat_id = :chat_id
ORDER BY created, user_id LIMIT :limit;

-- name: expired_members
-- Members some of whose delivered messages are too old by now.
SELECT chat_id, user_id, max(d.seq) AS seq
FROM deliveries AS d JOIN members AS m USING (chat_id, user_id)
WHERE d.at <= :at
GROUP BY chat_id, user_id ORDER BY chat_id, user_id LIMIT :limit;

-- name: expired_chats
-- Chats with messages that no member may see, and up to which seq.
-- What a member was not given yet stays while its id is not aged.
SELECT chat_id, through AS seq FROM (
    SELECT c.id AS chat_id, c.purged_seq, min(CASE
        WHEN m.expired_through < m.read_seq AND m.read_seq >= m.first_seq
            THEN CASE WHEN m.expired_through < m.first_seq - 1
                 THEN m.first_seq - 1 ELSE m.expired_through END
        WHEN a.seq > m.expired_through AND a.seq >= m.first_seq THEN a.seq
        WHEN m.expired_through < m.first_seq - 1 THEN m.first_seq - 1
        ELSE m.expired_through END) AS through
    FROM chats AS c
    JOIN members AS m ON m.chat_id = c.id
    LEFT JOIN (
        SELECT chat_id, max(seq) AS seq FROM messages
        WHERE id < :aged_id GROUP BY chat_id
    ) AS a ON a.chat_id = c.id
    WHERE c.head > c.purged_seq
    GROUP BY c.id, c.purged_seq
) AS each_chat
WHERE through > purged_seq
ORDER BY chat_id LIMIT :limit;

-- name: start_lifetime
-- What was read before lifetimes were kept counts as delivered now.
INSERT INTO deliveries (chat_id, user_id, seq, at)
SELECT chat_id, user_id, read_seq, :at FROM members AS m
WHERE read_seq > expired_through AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.chat_id = m.chat_id AND d.user_id = m.user_id
      AND d.seq >= m.read_seq)
ON CONFLICT DO NOTHING;

-- name: forget_deliveries
DELETE FROM deliveries
WHERE chat_id = :chat_id AND user_id = :user_id AND seq <= :seq;

-- name: delete_message_chunks
DELETE FROM file_chunks WHERE file_id IN (
    SELECT f.id FROM files AS f JOIN messages AS m ON m.id = f.message_id
    WHERE m.chat_id = :chat_id AND m.seq <= :seq);

-- name: delete_message_files
DELETE FROM files WHERE message_id IN (
    SELECT id FROM messages WHERE chat_id = :chat_id AND seq <= :seq);

-- name: delete_message_schedules
-- What became of scheduled messages goes with the messages.
DELETE FROM scheduled WHERE message_id IN (
    SELECT id FROM messages WHERE chat_id = :chat_id AND seq <= :seq);

-- name: delete_message_edits
DELETE FROM edits WHERE message_id IN (
    SELECT id FROM messages WHERE chat_id = :chat_id AND seq <= :seq);

-- name: delete_message_reactors
DELETE FROM reactors WHERE message_id IN (
    SELECT id FROM messages WHERE chat_id = :chat_id AND seq <= :seq);

-- name: delete_message_mentions
DELETE FROM mentions WHERE chat_id = :chat_id AND seq <= :seq;

-- name: delete_messages
DELETE FROM messages WHERE chat_id = :chat_id AND seq <= :seq;

-- name: delete_chunks_of_file
DELETE FROM file_chunks WHERE file_id = :file_id;

-- name: delete_chat_chunks
DELETE FROM file_chunks WHERE file_id IN (
    SELECT id FROM files WHERE chat_id = :chat_id);

-- name: delete_chat_files
DELETE FROM files WHERE chat_id = :chat_id;

-- name: delete_chat_messages
DELETE FROM messages WHERE chat_id = :chat_id;

-- name: delete_chat_links
DELETE FROM links WHERE chat_id = :chat_id;

-- name: delete_chat_requests
DELETE FROM join_requests WHERE chat_id = :chat_id;

-- name: delete_chat_deliveries
DELETE FROM deliveries WHERE chat_id = :chat_id;

-- name: keep_expiry
-- What expired for a member who leaves is still expired after a return.
INSERT INTO deliveries (chat_id, user_id, seq, at)
VALUES (:chat_id, :user_id, :seq, 0) ON CONFLICT DO NOTHING;

-- name: delete_old_deliveries
-- Deliveries of messages that are deleted tell nothing any more.
DELETE FROM deliveries WHERE chat_id = :chat_id AND seq <= :seq;

-- name: delete_member_mentions
DELETE FROM mentions WHERE user_id = :user_id AND chat_id = :chat_id;

-- name: forget_edits
-- The keys of a deleted message's edits.
DELETE FROM edits WHERE message_id = :message_id;

-- name: forget_reactors
DELETE FROM reactors WHERE message_id = :message_id;

-- name: blank_schedule
-- What a deleted message said is not kept where it was scheduled.
UPDATE scheduled SET text = '', file_ids = NULL
WHERE message_id = :message_id;
