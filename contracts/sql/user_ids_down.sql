-- Takes back what user_ids.sql added. It can be run again.
--
--     mysql DATABASE < user_ids_down.sql
--
-- Nothing is built, so it takes a moment, with one exception: where one of ours is the only index that a foreign
-- key has (it has replaced the server's own, because it was not added by user_ids.sql), that index is built again.

SET SESSION lock_wait_timeout = 5, group_concat_max_len = 65536;

SET @drop = (SELECT GROUP_CONCAT(DISTINCT CONCAT('DROP INDEX ', index_name) SEPARATOR ', ')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'contacts'
        AND index_name IN ('sidecar_contacts_user_id'));
SET @keep = (SELECT GROUP_CONCAT(', ADD INDEX `', name, '` (', columns, ')' SEPARATOR '')
    FROM (SELECT MIN(name) AS name, columns
        FROM (SELECT constraint_name AS name,
                GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position SEPARATOR ', ') AS columns
            FROM information_schema.key_column_usage
            WHERE table_schema = DATABASE() AND table_name = 'contacts'
                AND referenced_table_name IS NOT NULL
            GROUP BY constraint_name) AS keyed
        GROUP BY columns) AS needed
    WHERE NOT EXISTS (SELECT 1
        FROM (SELECT GROUP_CONCAT('`', column_name, '`' ORDER BY seq_in_index SEPARATOR ', ') AS columns
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'contacts'
                AND LEFT(index_name, 8) <> 'sidecar_'
            GROUP BY index_name) AS other
        WHERE LOCATE(needed.columns, other.columns) = 1));
SET @alter = IF(@drop IS NULL, 'DO 0',
    CONCAT('ALTER TABLE contacts ', @drop, COALESCE(@keep, ''), ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET @alter = (SELECT IF(COUNT(*) > 0, 'ALTER TABLE contacts DROP COLUMN sidecar_user_id', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'contacts' AND column_name = 'sidecar_user_id');
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET SESSION lock_wait_timeout = DEFAULT, group_concat_max_len = DEFAULT;
