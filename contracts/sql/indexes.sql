-- Indexes for the sidecar's PHP package and for the crons. No column is added or changed.
--
--     mysql DATABASE < indexes.sql
--
-- MariaDB 10.6 or newer, MySQL 8.0.30 or newer. Run it as often as you like: only what is missing is built.
--
-- Each table is changed online (ALGORITHM=INPLACE, LOCK=NONE): rows can be read and written meanwhile. If a
-- table cannot be changed that way, the statement fails at once. If a transaction holds a table for longer than
-- 5 seconds, it fails too (error 1205), so that nobody waits behind it: run the file again. Building reads each
-- table once, so choose a quiet hour for tables of many millions of rows.
--
-- MySQL has no ADD INDEX IF NOT EXISTS. So each ALTER TABLE is put together from what is missing, and run.
-- It also renames the indexes of foreign keys to their own names. Otherwise the server drops an index that it has
-- made for a foreign key itself when ours can serve the key too, and ours could not be dropped again in a moment.
--
-- The tables have their default names. Change them here if yours differ (whatsapp_webhooks).

SET SESSION lock_wait_timeout = 5, group_concat_max_len = 65536;

-- sidecar_queue_claim: a claim walks a campaign's queued rows in the order of `_id`, past those that are not due.
-- sidecar_queue_due: which campaigns have due rows, and since when. Counts of what is queued and due.
-- sidecar_queue_stale: rows that a dead claim left in 3. Rows of unknown outcome, the longest-standing first.
-- sidecar_queue_vendor: the campaign cron's own query (the analysis, phase 1).
SET @add = (SELECT CONCAT_WS(', ',
    IF(SUM(index_name = 'sidecar_queue_claim'), NULL,
        'ADD INDEX sidecar_queue_claim (campaigns__id, status, _id, scheduled_at)'),
    IF(SUM(index_name = 'sidecar_queue_due'), NULL,
        'ADD INDEX sidecar_queue_due (status, campaigns__id, scheduled_at)'),
    IF(SUM(index_name = 'sidecar_queue_stale'), NULL,
        'ADD INDEX sidecar_queue_stale (status, updated_at)'),
    IF(SUM(index_name = 'sidecar_queue_vendor'), NULL,
        'ADD INDEX sidecar_queue_vendor (vendors__id, status, scheduled_at)'))
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_queue');
SET @keep = (SELECT GROUP_CONCAT(DISTINCT CONCAT('RENAME INDEX `', s.index_name, '` TO `', s.index_name, '`, ')
        SEPARATOR '')
    FROM information_schema.statistics AS s
    JOIN information_schema.key_column_usage AS k ON k.column_name = s.column_name
    WHERE s.table_schema = DATABASE() AND s.table_name = 'whatsapp_message_queue' AND s.seq_in_index = 1
        AND s.index_name <> 'PRIMARY' AND LEFT(s.index_name, 8) <> 'sidecar_'
        AND k.table_schema = DATABASE() AND k.table_name = 'whatsapp_message_queue'
        AND k.referenced_table_name IS NOT NULL);
SET @alter = IF(@add = '', 'DO 0',
    CONCAT('ALTER TABLE whatsapp_message_queue ', COALESCE(@keep, ''), @add, ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

-- sidecar_logs_wamid: a status finds its message (phase 1).
-- sidecar_logs_campaign: how far a campaign is. Messages of no campaign that stand pending.
SET @add = (SELECT CONCAT_WS(', ',
    IF(SUM(index_name = 'sidecar_logs_wamid'), NULL,
        'ADD INDEX sidecar_logs_wamid (vendors__id, wamid)'),
    IF(SUM(index_name = 'sidecar_logs_campaign'), NULL,
        'ADD INDEX sidecar_logs_campaign (campaigns__id, is_incoming_message, status)'))
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'whatsapp_message_logs');
SET @keep = (SELECT GROUP_CONCAT(DISTINCT CONCAT('RENAME INDEX `', s.index_name, '` TO `', s.index_name, '`, ')
        SEPARATOR '')
    FROM information_schema.statistics AS s
    JOIN information_schema.key_column_usage AS k ON k.column_name = s.column_name
    WHERE s.table_schema = DATABASE() AND s.table_name = 'whatsapp_message_logs' AND s.seq_in_index = 1
        AND s.index_name <> 'PRIMARY' AND LEFT(s.index_name, 8) <> 'sidecar_'
        AND k.table_schema = DATABASE() AND k.table_name = 'whatsapp_message_logs'
        AND k.referenced_table_name IS NOT NULL);
SET @alter = IF(@add = '', 'DO 0',
    CONCAT('ALTER TABLE whatsapp_message_logs ', COALESCE(@keep, ''), @add, ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

-- sidecar_contacts_wa_id: a message finds its contact (phase 1).
SET @add = (SELECT CONCAT_WS(', ',
    IF(SUM(index_name = 'sidecar_contacts_wa_id'), NULL,
        'ADD INDEX sidecar_contacts_wa_id (vendors__id, wa_id)'))
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

-- sidecar_webhooks_pending: the webhook cron's oldest pending rows (phase 1).
-- sidecar_webhooks_order: the oldest pending webhooks, past those of vendors that are not on the sidecar.
-- sidecar_webhooks_vendor: whether a vendor on the sidecar has any: asked every few seconds.
SET @add = (SELECT CONCAT_WS(', ',
    IF(SUM(index_name = 'sidecar_webhooks_pending'), NULL,
        'ADD INDEX sidecar_webhooks_pending (status, created_at)'),
    IF(SUM(index_name = 'sidecar_webhooks_order'), NULL,
        'ADD INDEX sidecar_webhooks_order (status, _id, vendors__id)'),
    IF(SUM(index_name = 'sidecar_webhooks_vendor'), NULL,
        'ADD INDEX sidecar_webhooks_vendor (status, vendors__id)'))
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'whatsapp_webhook_queue');
SET @keep = (SELECT GROUP_CONCAT(DISTINCT CONCAT('RENAME INDEX `', s.index_name, '` TO `', s.index_name, '`, ')
        SEPARATOR '')
    FROM information_schema.statistics AS s
    JOIN information_schema.key_column_usage AS k ON k.column_name = s.column_name
    WHERE s.table_schema = DATABASE() AND s.table_name = 'whatsapp_webhook_queue' AND s.seq_in_index = 1
        AND s.index_name <> 'PRIMARY' AND LEFT(s.index_name, 8) <> 'sidecar_'
        AND k.table_schema = DATABASE() AND k.table_name = 'whatsapp_webhook_queue'
        AND k.referenced_table_name IS NOT NULL);
SET @alter = IF(@add = '', 'DO 0',
    CONCAT('ALTER TABLE whatsapp_webhook_queue ', COALESCE(@keep, ''), @add, ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

-- sidecar_settings_name: a vendor's numbers and secrets, out of all of its settings.
SET @add = (SELECT CONCAT_WS(', ',
    IF(SUM(index_name = 'sidecar_settings_name'), NULL,
        'ADD INDEX sidecar_settings_name (vendors__id, name)'))
    FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'vendor_settings');
SET @keep = (SELECT GROUP_CONCAT(DISTINCT CONCAT('RENAME INDEX `', s.index_name, '` TO `', s.index_name, '`, ')
        SEPARATOR '')
    FROM information_schema.statistics AS s
    JOIN information_schema.key_column_usage AS k ON k.column_name = s.column_name
    WHERE s.table_schema = DATABASE() AND s.table_name = 'vendor_settings' AND s.seq_in_index = 1
        AND s.index_name <> 'PRIMARY' AND LEFT(s.index_name, 8) <> 'sidecar_'
        AND k.table_schema = DATABASE() AND k.table_name = 'vendor_settings'
        AND k.referenced_table_name IS NOT NULL);
SET @alter = IF(@add = '', 'DO 0',
    CONCAT('ALTER TABLE vendor_settings ', COALESCE(@keep, ''), @add, ', ALGORITHM=INPLACE, LOCK=NONE'));
PREPARE sidecar FROM @alter;
EXECUTE sidecar;
DEALLOCATE PREPARE sidecar;

SET SESSION lock_wait_timeout = DEFAULT, group_concat_max_len = DEFAULT;
