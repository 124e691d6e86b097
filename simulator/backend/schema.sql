-- The tables of the Laravel application that the PHP side of the contract reads and writes, with
-- their own names. Conventions of every table: `_id`, `_uid`, `created_at`, `updated_at`, `__data`
-- (JSON); a foreign key is named `<table>__id`; datetimes are UTC text, 'YYYY-MM-DD HH:MM:SS'.
-- Of the real schema's indexes only those stand here that a query of ours uses.

CREATE TABLE IF NOT EXISTS vendors (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    status INTEGER,
    title TEXT,
    slug TEXT
);

-- `value` is kept in the clear here; Laravel encrypts the secrets among them.
CREATE TABLE IF NOT EXISTS vendor_settings (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT,
    data_type INTEGER
);
CREATE INDEX IF NOT EXISTS vendor_settings_name ON vendor_settings (vendors__id, name);

CREATE TABLE IF NOT EXISTS contacts (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    wa_id TEXT,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    language_code TEXT,
    countries__id INTEGER,
    whatsapp_opt_out INTEGER,
    disable_ai_bot INTEGER,
    disable_reply_bot INTEGER,
    assigned_users__id INTEGER,
    wa_blocked_at TEXT
);
CREATE INDEX IF NOT EXISTS contacts_wa_id ON contacts (vendors__id, wa_id);
-- For people who hide their number: `__data.user_id` is their business-scoped user id.
CREATE INDEX IF NOT EXISTS contacts_user_id
    ON contacts (vendors__id, json_extract(__data, '$.user_id'))
    WHERE json_extract(__data, '$.user_id') IS NOT NULL;

CREATE TABLE IF NOT EXISTS campaigns (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    status INTEGER,
    title TEXT,
    whatsapp_templates__id INTEGER,
    template_name TEXT,
    template_language TEXT,
    scheduled_at TEXT,
    timezone TEXT,
    users__id INTEGER
);

CREATE TABLE IF NOT EXISTS whatsapp_templates (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    status TEXT,
    template_name TEXT,
    template_id TEXT,
    category TEXT,
    language TEXT
);

CREATE TABLE IF NOT EXISTS whatsapp_message_queue (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    campaigns__id INTEGER,
    contacts__id INTEGER,
    status INTEGER NOT NULL DEFAULT 1,
    scheduled_at TEXT,
    phone_with_country_code TEXT,
    retries INTEGER
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
-- Rows whose expiry has passed. The expression stands in claims.py too, word for word.
CREATE INDEX IF NOT EXISTS queue_expiry
    ON whatsapp_message_queue (
        campaigns__id,
        nullif(replace(substr(json_extract(__data, '$.expiry_at'), 1, 19), 'T', ' '), '')
    )
    WHERE status = 1;

CREATE TABLE IF NOT EXISTS whatsapp_message_logs (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    contacts__id INTEGER,
    campaigns__id INTEGER,
    status TEXT,
    wamid TEXT,
    contact_wa_id TEXT,
    wab_phone_number_id TEXT,
    is_incoming_message INTEGER,
    message TEXT,
    messaged_at TEXT,
    is_forwarded INTEGER,
    replied_to_whatsapp_message_logs__uid TEXT,
    messaged_by_users__id INTEGER,
    is_system_message INTEGER
);
CREATE INDEX IF NOT EXISTS logs_wamid ON whatsapp_message_logs (vendors__id, wamid);
CREATE INDEX IF NOT EXISTS logs_campaign
    ON whatsapp_message_logs (campaigns__id, is_incoming_message, status)
    WHERE campaigns__id IS NOT NULL;
CREATE INDEX IF NOT EXISTS logs_contact ON whatsapp_message_logs (contacts__id, _id);

CREATE TABLE IF NOT EXISTS whatsapp_webhook_queue (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER,
    headers TEXT,
    payload TEXT,
    status TEXT DEFAULT 'pending',
    attempted_at TEXT
);

CREATE TABLE IF NOT EXISTS bot_replies (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    status INTEGER,
    name TEXT,
    reply_text TEXT,
    trigger_type TEXT,
    reply_trigger TEXT,
    priority_index INTEGER,
    bot_flows__id INTEGER,
    bot_replies__id INTEGER
);
CREATE INDEX IF NOT EXISTS bots_vendor ON bot_replies (vendors__id);

CREATE TABLE IF NOT EXISTS bot_flows (
    _id INTEGER PRIMARY KEY AUTOINCREMENT,
    _uid TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    __data TEXT,
    vendors__id INTEGER NOT NULL,
    status INTEGER,
    title TEXT,
    start_trigger TEXT
);

-- Not a table of the application (which keeps these in its cache): ids of signed calls seen.
CREATE TABLE IF NOT EXISTS sidecar_nonces (
    nonce TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sidecar_nonces_expiry ON sidecar_nonces (expires_at);
