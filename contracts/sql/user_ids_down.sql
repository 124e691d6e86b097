-- Takes back what user_ids.sql added. On MySQL 8, leave the words IF EXISTS out.

ALTER TABLE contacts DROP INDEX IF EXISTS sidecar_contacts_user_id, ALGORITHM=INPLACE, LOCK=NONE;
ALTER TABLE contacts DROP COLUMN IF EXISTS sidecar_user_id;
