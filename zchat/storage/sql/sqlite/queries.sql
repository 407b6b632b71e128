-- Blocks of ../queries.sql as SQLite's layout of messages wants them: in
-- ranges of places, number of the chat << 36 | seq.

-- name: messages_before
-- The newest messages below a seq that are above a floor, newest first.
SELECT {messages}
FROM chat_numbers AS n CROSS JOIN message_rows AS m
JOIN users AS u ON u.id = m.author_id
WHERE n.id = :chat_id AND m.place > (n.number << 36) + :floor
  AND m.place < (n.number << 36) + min(:before, 68719476735)
ORDER BY m.place DESC LIMIT :limit;

-- name: messages_after
-- The oldest messages above a seq, oldest first.
SELECT {messages}
FROM chat_numbers AS n CROSS JOIN message_rows AS m
JOIN users AS u ON u.id = m.author_id
WHERE n.id = :chat_id AND m.place > (n.number << 36) + :after
  AND m.place < (n.number + 1) << 36
ORDER BY m.place LIMIT :limit;

-- name: unread_after
-- The oldest messages of others above a seq, oldest first.
SELECT {messages}
FROM chat_numbers AS n CROSS JOIN message_rows AS m
JOIN users AS u ON u.id = m.author_id
WHERE n.id = :chat_id AND m.place > (n.number << 36) + :after
  AND m.place < (n.number + 1) << 36 AND m.author_id <> :user_id
ORDER BY m.place LIMIT :limit;

-- name: changed_after
-- The messages that changed after a revision and are above a floor, in
-- the order of their last changes. Only a number without an affinity is
-- searched for in the index of an expression, hence `+`.
SELECT {messages}
FROM chat_numbers AS n CROSS JOIN message_rows AS m
JOIN users AS u ON u.id = m.author_id
WHERE n.id = :chat_id AND m.place >> 36 = +n.number
  AND m.revision > :after AND m.revision > 0
  AND m.place > (n.number << 36) + :floor
ORDER BY m.revision LIMIT :limit;

-- name: comments_on
-- The comments on a message above a seq, oldest first; they are in the
-- message's own chat.
SELECT {messages}
FROM message_rows AS t CROSS JOIN message_rows AS m
JOIN chat_numbers AS n ON n.number = m.place >> 36
JOIN users AS u ON u.id = m.author_id
WHERE t.id = :message_id AND m.is_comment_on = :message_id
  AND m.place > (t.place >> 36 << 36) + :after
ORDER BY m.place LIMIT :limit;

-- name: count_own
-- How many messages of the chat above a seq the user wrote: block by
-- block where they were counted, one by one before and behind that.
SELECT coalesce((
    SELECT (
        SELECT count(*) FROM message_rows
        WHERE place > base + :after AND place <= base + (first << 10)
          AND author_id = :user_id
    ) + (
        SELECT coalesce(sum(messages), 0) FROM authored
        WHERE chat = number AND author_id = :user_id
          AND block >= first AND block < last
    ) + (
        SELECT count(*) FROM message_rows
        WHERE place > base + (last << 10) AND place < (number + 1) << 36
          AND author_id = :user_id
    )
    FROM (
        SELECT n.number, n.number << 36 AS base,
            (:after + 1023) >> 10 AS first,
            max((:after + 1023) >> 10, c.head >> 10) AS last
        FROM chat_numbers AS n JOIN chats AS c ON c.id = n.id
        WHERE n.id = :chat_id)
), 0) AS count;

-- name: count_few_messages
-- How many messages a user wrote to a chat, up to a few; counted as own
-- ones are.
SELECT coalesce((
    SELECT min(:limit, (
        SELECT count(*) FROM message_rows
        WHERE place > base + after AND place <= base + (first << 10)
          AND author_id = :user_id
    ) + (
        SELECT coalesce(sum(messages), 0) FROM authored
        WHERE chat = number AND author_id = :user_id
          AND block >= first AND block < last
    ) + (
        SELECT count(*) FROM message_rows
        WHERE place > base + (last << 10) AND place < (number + 1) << 36
          AND author_id = :user_id
    ))
    FROM (
        SELECT n.number, n.number << 36 AS base, c.purged_seq AS after,
            (c.purged_seq + 1023) >> 10 AS first,
            max((c.purged_seq + 1023) >> 10, c.head >> 10) AS last
        FROM chat_numbers AS n JOIN chats AS c ON c.id = n.id
        WHERE n.id = :chat_id)
), 0) AS count;

-- name: count_reporters
-- How many complained about the user in a round whose complaints count:
-- the account is old enough, and wrote enough to the common chat.
SELECT count(*) AS count
FROM complaints AS c JOIN users AS u ON u.id = c.reporter_id
WHERE c.offender_id = :offender_id AND c.round = :round
  AND c.state <> 'dismissed' AND u.created <= :made_by
  AND (:messages = 0 OR :messages <= (
    SELECT (
        SELECT count(*) FROM message_rows
        WHERE place > base + after AND place <= base + (first << 10)
          AND author_id = u.id
    ) + (
        SELECT coalesce(sum(messages), 0) FROM authored
        WHERE chat = number AND author_id = u.id
          AND block >= first AND block < last
    ) + (
        SELECT count(*) FROM message_rows
        WHERE place > base + (last << 10) AND place < (number + 1) << 36
          AND author_id = u.id
    )
    FROM (
        SELECT n.number, n.number << 36 AS base, c.purged_seq AS after,
            (c.purged_seq + 1023) >> 10 AS first,
            max((c.purged_seq + 1023) >> 10, c.head >> 10) AS last
        FROM chat_numbers AS n JOIN chats AS c ON c.id = n.id
        WHERE n.id = :common_id)
  ));

-- name: end_of_messages
-- The message of any chat that comes so many behind an id.
SELECT id FROM message_rows WHERE id > :after
ORDER BY id LIMIT 1 OFFSET :skipped;

-- name: messages_of_author
-- A page of what a user wrote and nobody deleted, between two ids. The
-- key's index would be no help: `+` keeps it out.
SELECT id FROM message_rows
WHERE id > :after AND id <= :through AND +author_id = :user_id
  AND deleted IS NULL
ORDER BY id LIMIT :limit;

-- name: recent_chats
-- Chats with messages since a time, told by their ids.
SELECT id FROM chat_numbers WHERE number IN (
    SELECT place >> 36 FROM message_rows WHERE id >= :first_id);

-- name: delete_message_chunks
DELETE FROM file_chunks WHERE file_id IN (
    SELECT f.id FROM chat_numbers AS n CROSS JOIN message_rows AS m
    JOIN files AS f ON f.message_id = m.id
    WHERE n.id = :chat_id AND m.place > n.number << 36
      AND m.place <= (n.number << 36) + :seq);

-- name: delete_message_files
DELETE FROM files WHERE message_id IN (
    SELECT m.id FROM chat_numbers AS n CROSS JOIN message_rows AS m
    WHERE n.id = :chat_id AND m.place > n.number << 36
      AND m.place <= (n.number << 36) + :seq);

-- name: delete_message_schedules
DELETE FROM scheduled WHERE message_id IN (
    SELECT m.id FROM chat_numbers AS n CROSS JOIN message_rows AS m
    WHERE n.id = :chat_id AND m.place > n.number << 36
      AND m.place <= (n.number << 36) + :seq);

-- name: delete_message_edits
DELETE FROM edits WHERE message_id IN (
    SELECT m.id FROM chat_numbers AS n CROSS JOIN message_rows AS m
    WHERE n.id = :chat_id AND m.place > n.number << 36
      AND m.place <= (n.number << 36) + :seq);

-- name: delete_message_reactors
DELETE FROM reactors WHERE message_id IN (
    SELECT m.id FROM chat_numbers AS n CROSS JOIN message_rows AS m
    WHERE n.id = :chat_id AND m.place > n.number << 36
      AND m.place <= (n.number << 36) + :seq);

-- name: delete_messages
DELETE FROM message_rows
WHERE place > (SELECT number << 36 FROM chat_numbers WHERE id = :chat_id)
  AND place <= :seq + (
    SELECT number << 36 FROM chat_numbers WHERE id = :chat_id);

-- name: delete_chat_messages
DELETE FROM message_rows
WHERE place > (SELECT number << 36 FROM chat_numbers WHERE id = :chat_id)
  AND place < (
    SELECT (number + 1) << 36 FROM chat_numbers WHERE id = :chat_id);

-- name: chunks_of
-- The chunks of a file from an offset on, in order, with their sizes where
-- they lie beside the store.
SELECT file_id, "offset", data, size FROM file_chunks
WHERE file_id = :file_id AND "offset" >= :offset
ORDER BY "offset" LIMIT :limit;
