-- SQLite lays its messages by place from here on; nothing changes here.
SELECT 1;
