-- An index on the user ids of people who hide their phone number (`contacts.__data.user_id`). Optional.
-- Without it the PHP package reads all of a vendor's contacts (some 0.3 s for 100,000) for the first
-- message of somebody of whom only a user id is known. With it that takes 0.2 ms.
--
-- It adds a column that is computed and not stored. SELECT * does not show it, and nothing of it is on disk
-- but the index, so the application does not notice. user_ids_down.sql takes both away.
--
--     mysql DATABASE < user_ids.sql
--
-- MariaDB 10.6 or newer, MySQL 8.0.30 or newer. Run it as often as you like. As to locks and to the statements'
-- form, see indexes.sql.

SET SESSION lock_wait_timeout = 5, group_concat_max_len = 65536;

SET @alter = (SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE contacts
    ADD COLUMN sidecar_user_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    GENERATED ALWAYS AS (LEFT(JSON_UNQUOTE(JSON_EXTRACT(__data, ''$.user_id'')), 255)) VIRTUAL INVISIBLE,
    ALGORITHM=INSTANT')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contacts' AND column_name = 'sidecar_user_id');
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET @add = (SELECT CONCAT_WS(', ',
    IF(SUM(index_name = 'sidecar_contacts_user_id'), NULL,
        'ADD INDEX sidecar_contacts_user_id (vendors__id, sidecar_user_id)'))
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'contacts');
SET @keep = (SELECT GROUP_CONCAT(DISTINCT CONCAT('RENAME INDEX `', s.index_name, '` TO `', s.index_name, '`, ')
        SEPARATOR '')
    FROM information_schema.statistics AS s
    JOIN information_schema.key_column_usage AS k ON k.column_name = s.column_name
    WHERE s.table_schema = DATABASE() AND s.table_name = 'contacts' AND s.seq_in_index = 1
        AND s.index_name <> 'PRIMARY' AND LEFT(s.index_name, 8) <> 'sidecar_'
        AND k.table_schema = DATABASE() AND k.table_name = 'contacts'
        AND k.referenced_table_name IS NOT NULL);
SET @alter = IF(@add = '', 'DO 0',
    CONCAT('ALTER TABLE contacts ', COALESCE(@keep, ''), @add, ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET SESSION lock_wait_timeout = DEFAULT, group_concat_max_len = DEFAULT;
