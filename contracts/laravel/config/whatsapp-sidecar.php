<?php

declare(strict_types=1);

use WhatsappSidecar\Laravel\Engine\HostRoutineEngine;

return [
    // The sidecar's address, as this application reaches it.
    'url' => env('WHATSAPP_SIDECAR_URL', 'http://127.0.0.1:8600'),

    // How long to wait for the sidecar, in seconds; and for the bots of one message, after which they
    // are matched here.
    'timeout' => (float) env('WHATSAPP_SIDECAR_TIMEOUT', 5),
    'match_timeout' => (float) env('WHATSAPP_SIDECAR_MATCH_TIMEOUT', 0.2),

    // Valid signing keys: "id:secret", several separated by commas. The first one signs the calls to
    // the sidecar. To rotate a key, add the new one behind the old one on both sides, then put it
    // first, then drop the old one.
    'keys' => env('WHATSAPP_SIDECAR_KEYS', ''),

    // How far the clocks of both sides may be apart, in seconds.
    'window' => env('WHATSAPP_SIDECAR_WINDOW', 300),

    // Where the ids of calls are kept, so that no call is accepted twice: the name of a cache store
    // that all PHP machines share, or "files" for a folder on this machine. Null takes the default
    // store, or files if that one keeps one file per entry or keeps nothing.
    'replay_store' => env('WHATSAPP_SIDECAR_REPLAY_STORE'),

    // Largest body of a call, in bytes. nginx's client_max_body_size and PHP's post_max_size must be
    // at least as large.
    'max_body_bytes' => 16 * 1024 * 1024,

    // The database connection; null for the default one.
    'connection' => env('WHATSAPP_SIDECAR_DB_CONNECTION'),

    // Isolation level of the package's transactions. Leave it empty to keep the connection's own: a
    // MySQL whose binlog_format is STATEMENT needs that.
    'isolation' => env('WHATSAPP_SIDECAR_DB_ISOLATION', 'READ COMMITTED') ?: null,

    // The time zone of the times in the tables; null for the application's own (timezone in config/app.php).
    // Set it only if your code stores times of another zone than that: UTC, say.
    'timezone' => env('WHATSAPP_SIDECAR_TIMEZONE'),

    'tables' => [
        'vendors' => 'vendors',
        'vendor_settings' => 'vendor_settings',
        'contacts' => 'contacts',
        'campaigns' => 'campaigns',
        'templates' => 'whatsapp_templates',
        'queue' => 'whatsapp_message_queue',
        'logs' => 'whatsapp_message_logs',
        'webhooks' => env('WHATSAPP_SIDECAR_WEBHOOK_TABLE', 'whatsapp_webhook_queue'),
        'bots' => 'bot_replies',
        'bot_flows' => 'bot_flows',
    ],

    // Width of the log's status column. Longer statuses are cut; the API's answer in the row's __data
    // has them in full.
    'log_status_length' => 10,

    // Whether the log keeps for good when each status of a message was set, for `sidecar find` and the console's
    // search. What is written anyway keeps it always; for the rest, each status then writes the row's
    // __data, which about doubles what it costs the database. Without, Redis knows it of the last ones
    // (status_times_limit of the sidecar); of older ones messaged_at says when a message
    // was delivered, and updated_at about when its last status came.
    'status_times' => env('WHATSAPP_SIDECAR_STATUS_TIMES', false),

    // vendors.status of a vendor with an active plan.
    'active_vendor_status' => 1,

    // Names in vendor_settings. Values that Laravel has encrypted are decrypted.
    'settings' => [
        'access_token' => 'whatsapp_access_token',
        'business_account_id' => 'whatsapp_business_account_id',
        'current_phone_number_id' => 'current_phone_number_id',
        'portfolio_id' => 'whatsapp_portfolio_id',
        // How many different users the portfolio may write to in 24 hours, if there is a limit.
        'daily_recipients' => 'whatsapp_daily_recipients',
        // How marketing templates are sent: "off" (as all others), or by Meta's Marketing Messages API:
        // "fallback" (what it cannot send goes as all others) or "strict".
        'marketing_messages' => 'whatsapp_marketing_messages',
        // JSON: a list of {id, display_phone_number, messages_per_second, is_on_biz_app, verified}.
        // "verified" is {account_id, portfolio_id, app_id} as Meta answers about the number to the
        // vendor's access token; never write what a vendor has entered. Vendors with the same
        // account_id share what stops the account. A vendor without it stops only itself.
        'phone_numbers' => 'whatsapp_phone_numbers',
        // JSON: a list of texts; or one text.
        'app_secrets' => 'whatsapp_app_secrets',
        'requeue_healthy_error' => 'enable_requeue_healthy_error_msg',
        'webhook_verified_at' => 'webhook_verified_at',
        'disconnected_at' => 'whatsapp_account_disconnected_at',
        // JSON: who does the vendor's work. The sidecar's commands write it, and past changes to a
        // second setting, whose name ends in _history.
        'modes' => 'sidecar_modes',
        // When bots answer: JSON {start, end, timezone, trigger_types}, or a setting for each;
        // bot_hours_on switches them, if you have such a setting. Types are JSON, or separated by commas.
        'bot_hours' => 'bot_hours',
        'bot_hours_on' => 'enable_bot_timing_restrictions',
        'bot_hours_start' => 'bot_start_timing',
        'bot_hours_end' => 'bot_end_timing',
        'bot_hours_timezone' => 'bot_timing_timezone',
        'bot_hours_types' => 'bot_timing_trigger_types',
        // JSON: a list of {name, kind, url, api_key, model}. The settings for OpenAI and Flowise add
        // providers named "openai" and "flowise".
        'ai_providers' => 'ai_providers',
        'openai_api_key' => 'open_ai_access_key',
        'openai_model' => 'open_ai_model_key',
        'flowise_url' => 'flowise_url',
        'flowise_api_key' => 'flowise_access_token',
        // The name of the provider that the AI bot asks (none: no AI bot), its instructions, JSON that
        // is added to each call, and what the customer reads if it fails.
        'ai_bot_provider' => 'ai_bot_provider',
        'ai_bot_instructions' => 'ai_bot_instructions',
        'ai_bot_options' => 'ai_bot_options',
        'ai_bot_failure_message' => 'ai_bot_failure_message',
        // The vendor's own webhook, and the secret that signs its posts. It gets each update of every
        // field of Meta's ("messages", "history" ...), or of those that forward_fields names: a JSON list,
        // or separated by commas.
        'forward_url' => 'webhook_forward_url',
        'forward_secret' => 'webhook_forward_secret',
        'forward_fields' => 'webhook_forward_fields',
        // JSON {url, app_id, key, secret}: the vendor's own broadcast server.
        'broadcaster' => 'broadcaster',
    ],

    // App secrets for every vendor (one app for the whole installation), separated by commas.
    'app_secrets' => env('WHATSAPP_SIDECAR_APP_SECRETS', ''),

    // Who handles customers' messages, echoes and account changes: HostRoutineEngine calls your own
    // routine, SchemaEngine writes to the tables itself.
    'engine' => env('WHATSAPP_SIDECAR_ENGINE', HostRoutineEngine::class),

    'host_routine' => [
        'class' => env(
            'WHATSAPP_SIDECAR_HOST_CLASS',
            'App\\Yantrana\\Components\\WhatsAppService\\WhatsAppServiceEngine'
        ),
        'method' => env('WHATSAPP_SIDECAR_HOST_METHOD', 'processWebhookRequest'),
        // Its second argument: "id" (vendors._id) or "uid" (vendors._uid).
        'vendor' => env('WHATSAPP_SIDECAR_HOST_VENDOR', 'id'),
        // Whether all that it does with one update is one transaction. Switch it on once the routine waits
        // for no network while the sidecar handles updates (Sidecar::isHandling()): if PHP dies or the
        // routine fails half way, nothing of the update remains, and it is handled anew. Leave it off
        // while the routine sends messages itself, which would be sent again.
        'transaction' => env('WHATSAPP_SIDECAR_HOST_TRANSACTION', false),
    ],

    // How long after its receipt a status of an unknown message is asked for again, in seconds; the
    // first and the longest wait, in milliseconds. The wait doubles with each attempt.
    'status_grace' => 600,
    'status_retry_ms' => 1000,
    'status_retry_max_ms' => 60000,

    // Whose webhooks and campaigns are the sidecar's, if no modes are kept for the vendor (`sidecar
    // cutover`): "all", "none", a list of uids (in the environment: separated by commas), or the name of
    // an invokable class that returns such a list. The crons leave these vendors alone.
    'vendors' => env('WHATSAPP_SIDECAR_VENDORS', 'none'),

    // Whose bots the sidecar matches, likewise. Other vendors' bots are matched here.
    'bots' => env('WHATSAPP_SIDECAR_BOTS', 'none'),

    // SchemaEngine: how many of the latest messages the AI bot is told, and how long a question and a
    // reply may wait, in seconds. Nothing is answered later than 24 hours after the customer's message, by
    // its own timestamp and less 5 minutes: from then on, Meta accepts only templates.
    'ai_history' => 10,
    'ai_expires' => 300,
    'reply_expires' => 86400,

    // SchemaEngine: which types of message bots and the AI answer (in the environment: separated by
    // commas; null for those of Engine\Answering::TYPES), and whether they answer messages in groups (to
    // their sender alone). Edits and revokes are never answered.
    'answered_types' => env('WHATSAPP_SIDECAR_ANSWERED_TYPES'),
    'answer_groups' => env('WHATSAPP_SIDECAR_ANSWER_GROUPS', false),

    // SchemaEngine: whether people who stop marketing messages in WhatsApp are opted out
    // (contacts.whatsapp_opt_out), and those who resume them are opted in again.
    'marketing_preferences' => env('WHATSAPP_SIDECAR_MARKETING_PREFERENCES', true),

    // Whose messages of campaigns are not sent, though they are queued: "marketing" (contacts who have
    // opted out get no marketing templates; a template whose category is not known counts as one), "all"
    // (they get none at all) or "off" (as before). With the first two, contacts who are blocked or
    // deleted get nothing.
    'campaign_opt_outs' => env('WHATSAPP_SIDECAR_CAMPAIGN_OPT_OUTS', 'marketing'),

    // The folder into which the sidecar fetches customers' media, as this application sees it (the
    // sidecar's setting media_dir names the same one). Empty: it is not asked for any.
    'media_dir' => env('WHATSAPP_SIDECAR_MEDIA_DIR'),

    // Broadcasts: the connection in config/broadcasting.php whose server the sidecar calls, the vendor's
    // channel as it is on the wire, and the event that announces a change. {vendorUid} in the channel
    // also says which vendor an event of your own belongs to.
    //
    // "default" is the application's own choice of a broadcast connection, by its name in Laravel 11 or that of
    // older ones: where it is "whatsapp-sidecar", that becomes broadcasting.default.
    'broadcast' => [
        'default' => env('BROADCAST_CONNECTION') ?? env('BROADCAST_DRIVER'),
        'connection' => env('WHATSAPP_SIDECAR_BROADCAST_CONNECTION', 'pusher'),
        'channel' => 'private-vendor-channel.{vendorUid}',
        'event' => 'VendorChannelBroadcast',
    ],

    // Models that tell the sidecar when they change, and drop what is cached of them here. vendors__id
    // says which vendor a model belongs to; one without it belongs to every vendor.
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
    // one), for at most so many seconds. PHP on several machines needs a store that all of them share.
    'cache_store' => env('WHATSAPP_SIDECAR_CACHE_STORE'),
    'cache_ttl' => (int) env('WHATSAPP_SIDECAR_CACHE_TTL', 300),

    // Models through which the crons read their rows. On the command line they hide the rows of vendors
    // whose mode of campaigns, or of webhooks, is "sidecar" or "held"; in the browser they show all.
    'scoped_models' => [
        'campaigns' => ['App\\Yantrana\\Components\\WhatsAppService\\Models\\WhatsAppMessageQueueModel'],
        'webhooks' => ['App\\Yantrana\\Components\\WhatsAppService\\Models\\WhatsAppWebhookModel'],
    ],

    // The package's webhook route, for nginx to fall back to when the sidecar is down, and its path.
    // Leave it off if the application has this route.
    'fallback_route' => env('WHATSAPP_SIDECAR_FALLBACK_ROUTE', false),
    'fallback_path' => 'whatsapp-webhook/{vendorUid}',

    // More middleware for both groups of routes.
    'middleware' => [],

    // The sidecar's console: a route that takes users there whom the gate "operateSidecar" or "viewSidecar"
    // lets through, with its path, name and middleware. "url" is where browsers reach the console; null:
    // below /sidecar of this application's own address. "user_name" lists the attributes of a user by which
    // the console names it; the first that is not empty counts.
    'console' => [
        'route' => env('WHATSAPP_SIDECAR_CONSOLE_ROUTE', false),
        'path' => 'whatsapp-sidecar/console',
        'name' => 'whatsapp-sidecar.console',
        'middleware' => ['web', 'auth'],
        'url' => env('WHATSAPP_SIDECAR_CONSOLE_URL'),
        'user_name' => ['name', 'email'],
    ],
];
