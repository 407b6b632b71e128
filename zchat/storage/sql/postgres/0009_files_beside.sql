-- SQLite keeps the bytes of files beside itself from here on; PostgreSQL
-- keeps them.
SELECT 1;
