-- The tables of the Laravel application that the PHP side of the contract reads and writes, with
-- their own names. Conventions of every table: `_id`, `_uid`, `created_at`, `updated_at`, `__data`
-- (JSON); a foreign key is named `<table>__id`; datetimes are UTC.
-- Of the real schema's indexes only those stand here that a query of ours uses.
-- Types are MariaDB's. columns.py gives SQLite what MariaDB's strict mode makes of them.

CREATE TABLE IF NOT EXISTS vendors (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    status TINYINT UNSIGNED,
    title VARCHAR(255),
    slug VARCHAR(255)
);

-- `value` is kept in the clear here; Laravel encrypts the secrets among them.
CREATE TABLE IF NOT EXISTS vendor_settings (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    name VARCHAR(45) NOT NULL,
    value LONGTEXT,
    data_type TINYINT UNSIGNED
);
CREATE INDEX IF NOT EXISTS vendor_settings_name ON vendor_settings (vendors__id, name);

CREATE TABLE IF NOT EXISTS contacts (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    wa_id VARCHAR(45),
    first_name VARCHAR(150),
    last_name VARCHAR(150),
    email VARCHAR(255),
    language_code VARCHAR(10),
    countries__id INT UNSIGNED,
    whatsapp_opt_out TINYINT UNSIGNED,
    disable_ai_bot TINYINT UNSIGNED,
    disable_reply_bot TINYINT UNSIGNED,
    assigned_users__id INT UNSIGNED,
    wa_blocked_at DATETIME
);
CREATE INDEX IF NOT EXISTS contacts_wa_id ON contacts (vendors__id, wa_id);
-- For people who hide their number: `__data.user_id` is their business-scoped user id.
CREATE INDEX IF NOT EXISTS contacts_user_id
    ON contacts (vendors__id, json_extract(__data, '$.user_id'))
    WHERE json_extract(__data, '$.user_id') IS NOT NULL;

CREATE TABLE IF NOT EXISTS campaigns (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    status TINYINT UNSIGNED,
    title VARCHAR(255),
    whatsapp_templates__id INT UNSIGNED,
    template_name VARCHAR(255),
    template_language VARCHAR(15),
    scheduled_at DATETIME,
    timezone VARCHAR(45),
    users__id INT UNSIGNED
);

CREATE TABLE IF NOT EXISTS whatsapp_templates (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    status VARCHAR(15),
    template_name VARCHAR(255),
    template_id VARCHAR(45),
    category VARCHAR(45),
    language VARCHAR(10)
);

CREATE TABLE IF NOT EXISTS whatsapp_message_queue (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    campaigns__id INT UNSIGNED,
    contacts__id INT UNSIGNED,
    status TINYINT UNSIGNED NOT NULL DEFAULT 1,
    scheduled_at DATETIME,
    phone_with_country_code VARCHAR(45),
    retries TINYINT UNSIGNED
);
-- Counts by status, and when the next row falls due.
CREATE INDEX IF NOT EXISTS queue_due
    ON whatsapp_message_queue (campaigns__id, status, scheduled_at);
-- A claim walks a campaign's queued rows in the order of `_id`.
CREATE INDEX IF NOT EXISTS queue_claim
    ON whatsapp_message_queue (campaigns__id, _id, scheduled_at) WHERE status = 1;
-- Rows that a dead claim left behind.
CREATE INDEX IF NOT EXISTS queue_stale ON whatsapp_message_queue (updated_at) WHERE status = 3;
-- Rows of unknown outcome, the longest-standing first.
CREATE INDEX IF NOT EXISTS queue_unknown ON whatsapp_message_queue (updated_at, _id) WHERE status = 6;
-- Rows that have ended, in the order in which they have.
CREATE INDEX IF NOT EXISTS queue_ended
    ON whatsapp_message_queue (updated_at, _id) WHERE status IN (2, 4, 5);
-- A campaign's failed rows, page by page.
CREATE INDEX IF NOT EXISTS queue_failed ON whatsapp_message_queue (campaigns__id, _id) WHERE status = 2;
-- Rows whose expiry has passed. The expression stands in claims.py too, word for word.
CREATE INDEX IF NOT EXISTS queue_expiry
    ON whatsapp_message_queue (
        campaigns__id,
        nullif(replace(substr(json_extract(__data, '$.expiry_at'), 1, 19), 'T', ' '), '')
    )
    WHERE status = 1;

CREATE TABLE IF NOT EXISTS whatsapp_message_logs (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    contacts__id INT UNSIGNED,
    campaigns__id INT UNSIGNED,
    status VARCHAR(10),
    wamid VARCHAR(255),
    contact_wa_id VARCHAR(45),
    wab_phone_number_id VARCHAR(45),
    is_incoming_message TINYINT UNSIGNED,
    message TEXT,
    messaged_at DATETIME,
    is_forwarded TINYINT UNSIGNED,
    replied_to_whatsapp_message_logs__uid CHAR(36),
    messaged_by_users__id INT UNSIGNED,
    is_system_message TINYINT UNSIGNED
);
CREATE INDEX IF NOT EXISTS logs_wamid ON whatsapp_message_logs (vendors__id, wamid);
CREATE INDEX IF NOT EXISTS logs_campaign
    ON whatsapp_message_logs (campaigns__id, is_incoming_message, status)
    WHERE campaigns__id IS NOT NULL;
-- Messages of which it is not known what became of them.
CREATE INDEX IF NOT EXISTS logs_pending
    ON whatsapp_message_logs (_id) WHERE status = 'pending' AND wamid IS NULL;
CREATE INDEX IF NOT EXISTS logs_contact ON whatsapp_message_logs (contacts__id, _id);

CREATE TABLE IF NOT EXISTS whatsapp_webhook_queue (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED,
    headers JSON,
    payload JSON,
    status VARCHAR(15) NOT NULL DEFAULT 'pending',
    attempted_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS bot_replies (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    status TINYINT UNSIGNED,
    name VARCHAR(255),
    reply_text TEXT,
    trigger_type VARCHAR(45),
    reply_trigger VARCHAR(255),
    priority_index TINYINT UNSIGNED,
    bot_flows__id INT UNSIGNED,
    bot_replies__id INT UNSIGNED
);
CREATE INDEX IF NOT EXISTS bots_vendor ON bot_replies (vendors__id);

CREATE TABLE IF NOT EXISTS bot_flows (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid CHAR(36) NOT NULL UNIQUE,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    __data JSON,
    vendors__id INT UNSIGNED NOT NULL,
    status TINYINT UNSIGNED,
    title VARCHAR(255),
    start_trigger VARCHAR(255)
);

-- Not a table of the application (which keeps these in its cache): ids of signed calls seen.
CREATE TABLE IF NOT EXISTS sidecar_nonces (
    nonce TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sidecar_nonces_expiry ON sidecar_nonces (expires_at);
