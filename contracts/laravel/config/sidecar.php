<?php

declare(strict_types=1);

use WhatsappSidecar\Laravel\Engine\HostRoutineEngine;

return [
    // Where this application reaches the sidecar, without a slash at the end.
    'url' => env('SIDECAR_URL', 'http://127.0.0.1:8600'),

    // How long this application waits for the sidecar, in seconds; and for the bots of one message,
    // which it finds itself after that.
    'timeout' => (float) env('SIDECAR_TIMEOUT', 5),
    'match_timeout' => (float) env('SIDECAR_MATCH_TIMEOUT', 0.2),

    // Signing keys that are valid now: "id:secret", several parted by commas. The first one signs
    // the calls to the sidecar. To rotate, add the new key on both sides, put it first, and remove
    // the old one later.
    'keys' => env('SIDECAR_KEYS', ''),

    // How far the clocks of both sides may be apart, in seconds.
    'window' => env('SIDECAR_WINDOW', 300),

    // Where ids of calls are remembered, so that no call is accepted twice: the name of a cache
    // store that all PHP machines share, or "files" for a folder of this machine. Null takes the
    // application's default store, and files if that one keeps one file per entry or keeps nothing.
    'replay_store' => env('SIDECAR_REPLAY_STORE'),

    // Largest body of a call, in bytes. nginx's client_max_body_size and PHP's post_max_size must
    // not be smaller.
    'max_body_bytes' => 16 * 1024 * 1024,

    // The database connection; null for the application's default one.
    'connection' => env('SIDECAR_DB_CONNECTION'),

    // Isolation level of the package's transactions; null leaves the connection's own, for a MySQL
    // whose binlog_format is STATEMENT.
    'isolation' => env('SIDECAR_DB_ISOLATION', 'READ COMMITTED') ?: null,

    'tables' => [
        'vendors' => 'vendors',
        'vendor_settings' => 'vendor_settings',
        'contacts' => 'contacts',
        'campaigns' => 'campaigns',
        'queue' => 'whatsapp_message_queue',
        'logs' => 'whatsapp_message_logs',
        'webhooks' => env('SIDECAR_WEBHOOK_TABLE', 'whatsapp_webhook_queue'),
        'bots' => 'bot_replies',
        'bot_flows' => 'bot_flows',
    ],

    // Width of the log's status column. Longer statuses are cut; the API's answer in the row's
    // __data has them in full.
    'log_status_length' => 10,

    // vendors.status of a vendor with an active plan.
    'active_vendor_status' => 1,

    // Names in vendor_settings. Values that Laravel has encrypted are decrypted.
    'settings' => [
        'access_token' => 'whatsapp_access_token',
        'business_account_id' => 'whatsapp_business_account_id',
        'current_phone_number_id' => 'current_phone_number_id',
        'portfolio_id' => 'whatsapp_portfolio_id',
        // How many different users the portfolio may write to in 24 hours, if that is limited.
        'daily_recipients' => 'whatsapp_daily_recipients',
        // JSON: a list of {id, display_phone_number, messages_per_second, is_on_biz_app, verified}.
        // "verified" is {account_id, portfolio_id, app_id} as Meta answers when it is asked about the
        // number with the vendor's access token, and nothing that a vendor has entered: vendors with
        // the same account_id share what stops the account. Without it a vendor stops only itself.
        'phone_numbers' => 'whatsapp_phone_numbers',
        // JSON: a list of texts; or one text.
        'app_secrets' => 'whatsapp_app_secrets',
        'requeue_healthy_error' => 'enable_requeue_healthy_error_msg',
        'webhook_verified_at' => 'webhook_verified_at',
        'disconnected_at' => 'whatsapp_account_disconnected_at',
        // JSON: who does the vendor's work. Written by the sidecar's commands; beside it stands another
        // one, with _history at the end of its name.
        'modes' => 'sidecar_modes',
        // When bots answer. JSON {start, end, timezone, trigger_types}, or else a setting for each;
        // bot_hours_on is a switch, for those who have one. Types are JSON, or parted by commas.
        'bot_hours' => 'bot_hours',
        'bot_hours_on' => 'enable_bot_timing_restrictions',
        'bot_hours_start' => 'bot_start_timing',
        'bot_hours_end' => 'bot_end_timing',
        'bot_hours_timezone' => 'bot_timing_timezone',
        'bot_hours_types' => 'bot_timing_trigger_types',
        // JSON: a list of {name, kind, url, api_key, model}. A key of OpenAI's and a URL of Flowise's
        // that stand by themselves make providers named "openai" and "flowise".
        'ai_providers' => 'ai_providers',
        'openai_api_key' => 'open_ai_access_key',
        'openai_model' => 'open_ai_model_key',
        'flowise_url' => 'flowise_url',
        'flowise_api_key' => 'flowise_access_token',
        // The provider that the AI bot asks, by its name; without one there is no AI bot. What it is
        // told first, JSON that is added to each call, and what the customer reads where it fails.
        'ai_bot_provider' => 'ai_bot_provider',
        'ai_bot_instructions' => 'ai_bot_instructions',
        'ai_bot_options' => 'ai_bot_options',
        'ai_bot_failure_message' => 'ai_bot_failure_message',
        // The vendor's own webhook, and what its posts are signed with.
        'forward_url' => 'webhook_forward_url',
        'forward_secret' => 'webhook_forward_secret',
        // JSON {url, app_id, key, secret}: a broadcast server of the vendor's own.
        'broadcaster' => 'broadcaster',
    ],

    // App secrets that hold for every vendor, parted by commas (one app for the whole installation).
    'app_secrets' => env('SIDECAR_APP_SECRETS', ''),

    // Who handles customers' messages, echoes and account changes: HostRoutineEngine calls the
    // application's own routine, SchemaEngine works on the tables itself.
    'engine' => env('SIDECAR_ENGINE', HostRoutineEngine::class),

    'host_routine' => [
        'class' => env(
            'SIDECAR_HOST_CLASS',
            'App\\Yantrana\\Components\\WhatsAppService\\WhatsAppServiceEngine'
        ),
        'method' => env('SIDECAR_HOST_METHOD', 'processWebhookRequest'),
        // What its second argument is: "id" (vendors._id) or "uid" (vendors._uid).
        'vendor' => env('SIDECAR_HOST_VENDOR', 'id'),
    ],

    // How long after its receipt a status of an unknown message is asked for again, in seconds; the
    // first wait and the longest one, in milliseconds. The wait doubles per attempt.
    'status_grace' => 600,
    'status_retry_ms' => 1000,
    'status_retry_max_ms' => 60000,

    // Whose webhooks and campaigns are the sidecar's, so that the crons leave them alone, where no modes
    // are kept for a vendor (`sidecar cutover`): "all", "none", a list of uids (in the environment: parted
    // by commas), or the name of an invokable class that returns such a list.
    'vendors' => env('SIDECAR_VENDORS', 'none'),

    // Whose bots the sidecar matches, likewise. Other vendors' are matched here.
    'bots' => env('SIDECAR_BOTS', 'none'),

    // SchemaEngine's AI bot: how many of the latest messages it is told, and how long a question and a
    // bot's reply may wait, in seconds. After 24 hours Meta takes templates only.
    'ai_history' => 10,
    'ai_expires' => 300,
    'reply_expires' => 86400,

    // Broadcasts: the connection of config/broadcasting.php whose server the sidecar calls, the vendor's
    // channel as it is on the wire, and the event that tells it of a change. {vendorUid} in the channel
    // also says whose an event of this application's own is.
    'broadcast' => [
        'connection' => env('SIDECAR_BROADCAST_CONNECTION', 'pusher'),
        'channel' => 'private-vendor-channel.{vendorUid}',
        'event' => 'VendorChannelBroadcast',
    ],

    // Models that tell the sidecar when they change, and drop what is cached of them here. Their
    // vendors__id says whose it is; a model without one is every vendor's.
    'watched_models' => [
        'bots' => [
            'App\\Yantrana\\Components\\BotReply\\Models\\BotReplyModel',
            'App\\Yantrana\\Components\\BotReply\\Models\\BotFlowModel',
        ],
        'settings' => [
            'App\\Yantrana\\Components\\Vendor\\Models\\VendorModel',
            'App\\Yantrana\\Components\\Vendor\\Models\\VendorSettingsModel',
        ],
    ],

    // Sidecar::vendorSettings() and Sidecar::bots() read through this cache store (null: the default
    // one), for so many seconds at most. PHP on several machines needs a store that all share.
    'cache_store' => env('SIDECAR_CACHE_STORE'),
    'cache_ttl' => (int) env('SIDECAR_CACHE_TTL', 300),

    // Models whose rows the crons read, by what is done with them: of a vendor whose mode of that is
    // "sidecar" or "held" they see none. The scope holds on the command line only, so that people still
    // see the rows in the browser.
    'scoped_models' => [
        'campaigns' => ['App\\Yantrana\\Components\\WhatsAppService\\Models\\WhatsAppMessageQueueModel'],
        'webhooks' => ['App\\Yantrana\\Components\\WhatsAppService\\Models\\WhatsAppWebhookModel'],
    ],

    // PHP's own webhook route, for nginx to fall back to when the sidecar is down, and the path it
    // answers under.
    'fallback_route' => env('SIDECAR_FALLBACK_ROUTE', false),
    'fallback_path' => 'whatsapp-webhook/{vendorUid}',

    // Middleware of both groups of routes, beside the package's own.
    'middleware' => [],
];
