-- Takes back what indexes.sql added. It can be run again.
--
--     mysql DATABASE < indexes_down.sql
--
-- Nothing is built, so it takes a moment, with one exception: where one of ours is the only index that a foreign
-- key has (it has replaced the server's own, because it was not added by indexes.sql), that index is built again.

SET SESSION lock_wait_timeout = 5, group_concat_max_len = 65536;

SET @drop = (SELECT GROUP_CONCAT(DISTINCT CONCAT('DROP INDEX ', index_name) SEPARATOR ', ')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_queue'
        AND index_name IN ('sidecar_queue_claim', 'sidecar_queue_due', 'sidecar_queue_stale', 'sidecar_queue_vendor'));
SET @keep = (SELECT GROUP_CONCAT(', ADD INDEX `', name, '` (', columns, ')' SEPARATOR '')
    FROM (SELECT MIN(name) AS name, columns
        FROM (SELECT constraint_name AS name,
                GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position SEPARATOR ', ') AS columns
            FROM information_schema.key_column_usage
            WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_queue'
                AND referenced_table_name IS NOT NULL
            GROUP BY constraint_name) AS keyed
        GROUP BY columns) AS needed
    WHERE NOT EXISTS (SELECT 1
        FROM (SELECT GROUP_CONCAT('`', column_name, '`' ORDER BY seq_in_index SEPARATOR ', ') AS columns
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_queue'
                AND LEFT(index_name, 8) <> 'sidecar_'
            GROUP BY index_name) AS other
        WHERE LOCATE(needed.columns, other.columns) = 1));
SET @alter = IF(@drop IS NULL, 'DO 0',
    CONCAT('ALTER TABLE whatsapp_message_queue ', @drop, COALESCE(@keep, ''), ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET @drop = (SELECT GROUP_CONCAT(DISTINCT CONCAT('DROP INDEX ', index_name) SEPARATOR ', ')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_logs'
        AND index_name IN ('sidecar_logs_wamid', 'sidecar_logs_campaign'));
SET @keep = (SELECT GROUP_CONCAT(', ADD INDEX `', name, '` (', columns, ')' SEPARATOR '')
    FROM (SELECT MIN(name) AS name, columns
        FROM (SELECT constraint_name AS name,
                GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position SEPARATOR ', ') AS columns
            FROM information_schema.key_column_usage
            WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_logs'
                AND referenced_table_name IS NOT NULL
            GROUP BY constraint_name) AS keyed
        GROUP BY columns) AS needed
    WHERE NOT EXISTS (SELECT 1
        FROM (SELECT GROUP_CONCAT('`', column_name, '`' ORDER BY seq_in_index SEPARATOR ', ') AS columns
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_logs'
                AND LEFT(index_name, 8) <> 'sidecar_'
            GROUP BY index_name) AS other
        WHERE LOCATE(needed.columns, other.columns) = 1));
SET @alter = IF(@drop IS NULL, 'DO 0',
    CONCAT('ALTER TABLE whatsapp_message_logs ', @drop, COALESCE(@keep, ''), ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET @drop = (SELECT GROUP_CONCAT(DISTINCT CONCAT('DROP INDEX ', index_name) SEPARATOR ', ')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'contacts'
        AND index_name IN ('sidecar_contacts_wa_id'));
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

SET @drop = (SELECT GROUP_CONCAT(DISTINCT CONCAT('DROP INDEX ', index_name) SEPARATOR ', ')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'whatsapp_webhook_queue'
        AND index_name IN ('sidecar_webhooks_pending', 'sidecar_webhooks_order', 'sidecar_webhooks_vendor'));
SET @keep = (SELECT GROUP_CONCAT(', ADD INDEX `', name, '` (', columns, ')' SEPARATOR '')
    FROM (SELECT MIN(name) AS name, columns
        FROM (SELECT constraint_name AS name,
                GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position SEPARATOR ', ') AS columns
            FROM information_schema.key_column_usage
            WHERE table_schema = DATABASE() AND table_name = 'whatsapp_webhook_queue'
                AND referenced_table_name IS NOT NULL
            GROUP BY constraint_name) AS keyed
        GROUP BY columns) AS needed
    WHERE NOT EXISTS (SELECT 1
        FROM (SELECT GROUP_CONCAT('`', column_name, '`' ORDER BY seq_in_index SEPARATOR ', ') AS columns
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'whatsapp_webhook_queue'
                AND LEFT(index_name, 8) <> 'sidecar_'
            GROUP BY index_name) AS other
        WHERE LOCATE(needed.columns, other.columns) = 1));
SET @alter = IF(@drop IS NULL, 'DO 0',
    CONCAT('ALTER TABLE whatsapp_webhook_queue ', @drop, COALESCE(@keep, ''), ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET @drop = (SELECT GROUP_CONCAT(DISTINCT CONCAT('DROP INDEX ', index_name) SEPARATOR ', ')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'vendor_settings'
        AND index_name IN ('sidecar_settings_name'));
SET @keep = (SELECT GROUP_CONCAT(', ADD INDEX `', name, '` (', columns, ')' SEPARATOR '')
    FROM (SELECT MIN(name) AS name, columns
        FROM (SELECT constraint_name AS name,
                GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position SEPARATOR ', ') AS columns
            FROM information_schema.key_column_usage
            WHERE table_schema = DATABASE() AND table_name = 'vendor_settings'
                AND referenced_table_name IS NOT NULL
            GROUP BY constraint_name) AS keyed
        GROUP BY columns) AS needed
    WHERE NOT EXISTS (SELECT 1
        FROM (SELECT GROUP_CONCAT('`', column_name, '`' ORDER BY seq_in_index SEPARATOR ', ') AS columns
            FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'vendor_settings'
                AND LEFT(index_name, 8) <> 'sidecar_'
            GROUP BY index_name) AS other
        WHERE LOCATE(needed.columns, other.columns) = 1));
SET @alter = IF(@drop IS NULL, 'DO 0',
    CONCAT('ALTER TABLE vendor_settings ', @drop, COALESCE(@keep, ''), ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET SESSION lock_wait_timeout = DEFAULT, group_concat_max_len = DEFAULT;
