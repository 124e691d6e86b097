-- An index on the user ids of people who hide their phone number (`contacts.__data.user_id`). Optional.
-- Without it the PHP package reads all of a vendor's contacts (some 0.3 s for 100,000) for the first
-- message of somebody of whom only a user id is known; with it that takes 0.2 ms.
--
-- It adds a column that is computed and not stored. SELECT * does not show it, and nothing of it is on disk
-- but the index, so the application does not notice. user_ids_down.sql takes both away.
--
-- MariaDB 10.3 or newer: run the file as it is, as often as you like:
--     mariadb DATABASE < user_ids.sql
-- MySQL 8.0.23 or newer (not tested) knows no IF NOT EXISTS here: leave these words out.

ALTER TABLE contacts
    ADD COLUMN IF NOT EXISTS sidecar_user_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    GENERATED ALWAYS AS (LEFT(JSON_UNQUOTE(JSON_EXTRACT(__data, '$.user_id')), 255)) VIRTUAL INVISIBLE,
    ALGORITHM=INSTANT;

ALTER TABLE contacts
    ADD INDEX IF NOT EXISTS sidecar_contacts_user_id (vendors__id, sidecar_user_id),
    ALGORITHM=INPLACE, LOCK=NONE;
