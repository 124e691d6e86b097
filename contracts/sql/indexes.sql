-- Indexes for the sidecar's PHP package and for the crons. No column is added or changed.
--
-- MariaDB 10.3 or newer: run the file as it is, as often as you like:
--     mariadb DATABASE < indexes.sql
-- MySQL 8 knows no IF NOT EXISTS here: `php artisan whatsapp-sidecar:check` names the indexes that are missing;
-- run their statements without these three words.
--
-- Each is built online (ALGORITHM=INPLACE, LOCK=NONE): rows can be read and written meanwhile. If a
-- table cannot be changed that way, the statement fails at once and nothing is locked. Building reads
-- the whole table once, so choose a quiet hour for tables of many millions of rows.
--
-- The tables have their default names; change them here if yours differ (whatsapp_webhooks).

-- A claim walks a campaign's queued rows in the order of `_id`, and skips those that are not due.
ALTER TABLE whatsapp_message_queue
    ADD INDEX IF NOT EXISTS sidecar_queue_claim (campaigns__id, status, _id, scheduled_at),
    ALGORITHM=INPLACE, LOCK=NONE;

-- Which campaigns have due rows, and since when; counts of what is queued and due.
ALTER TABLE whatsapp_message_queue
    ADD INDEX IF NOT EXISTS sidecar_queue_due (status, campaigns__id, scheduled_at),
    ALGORITHM=INPLACE, LOCK=NONE;

-- Rows that a dead claim left in 3; rows of unknown outcome, the longest-standing first.
ALTER TABLE whatsapp_message_queue
    ADD INDEX IF NOT EXISTS sidecar_queue_stale (status, updated_at),
    ALGORITHM=INPLACE, LOCK=NONE;

-- The campaign cron's own query (the analysis, phase 1).
ALTER TABLE whatsapp_message_queue
    ADD INDEX IF NOT EXISTS sidecar_queue_vendor (vendors__id, status, scheduled_at),
    ALGORITHM=INPLACE, LOCK=NONE;

-- A status finds its message (phase 1).
ALTER TABLE whatsapp_message_logs
    ADD INDEX IF NOT EXISTS sidecar_logs_wamid (vendors__id, wamid),
    ALGORITHM=INPLACE, LOCK=NONE;

-- How far a campaign is.
ALTER TABLE whatsapp_message_logs
    ADD INDEX IF NOT EXISTS sidecar_logs_campaign (campaigns__id, is_incoming_message, status),
    ALGORITHM=INPLACE, LOCK=NONE;

-- A message finds its contact (phase 1).
ALTER TABLE contacts
    ADD INDEX IF NOT EXISTS sidecar_contacts_wa_id (vendors__id, wa_id),
    ALGORITHM=INPLACE, LOCK=NONE;

-- The webhook cron's oldest pending rows (phase 1).
ALTER TABLE whatsapp_webhook_queue
    ADD INDEX IF NOT EXISTS sidecar_webhooks_pending (status, created_at),
    ALGORITHM=INPLACE, LOCK=NONE;

-- The oldest pending webhooks, past those of vendors that are not on the sidecar.
ALTER TABLE whatsapp_webhook_queue
    ADD INDEX IF NOT EXISTS sidecar_webhooks_order (status, _id, vendors__id),
    ALGORITHM=INPLACE, LOCK=NONE;

-- Whether a vendor on the sidecar has any: asked every few seconds.
ALTER TABLE whatsapp_webhook_queue
    ADD INDEX IF NOT EXISTS sidecar_webhooks_vendor (status, vendors__id),
    ALGORITHM=INPLACE, LOCK=NONE;

-- A vendor's numbers and secrets, out of all of its settings.
ALTER TABLE vendor_settings
    ADD INDEX IF NOT EXISTS sidecar_settings_name (vendors__id, name),
    ALGORITHM=INPLACE, LOCK=NONE;
