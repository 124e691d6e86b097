-- Takes back what indexes.sql added. On MySQL 8, leave the words IF EXISTS out.

ALTER TABLE whatsapp_message_queue DROP INDEX IF EXISTS sidecar_queue_claim, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_message_queue DROP INDEX IF EXISTS sidecar_queue_due, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_message_queue DROP INDEX IF EXISTS sidecar_queue_stale, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_message_queue DROP INDEX IF EXISTS sidecar_queue_vendor, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_message_logs DROP INDEX IF EXISTS sidecar_logs_wamid, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_message_logs DROP INDEX IF EXISTS sidecar_logs_campaign, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE contacts DROP INDEX IF EXISTS sidecar_contacts_wa_id, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_webhook_queue DROP INDEX IF EXISTS sidecar_webhooks_pending, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_webhook_queue DROP INDEX IF EXISTS sidecar_webhooks_order, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE whatsapp_webhook_queue DROP INDEX IF EXISTS sidecar_webhooks_vendor, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE vendor_settings DROP INDEX IF EXISTS sidecar_settings_name, ALGORITHM=INPLACE, LOCK=NONE;
