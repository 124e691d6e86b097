<?php

declare(strict_types=1);

// What this installation sets; the rest is the package's own config/whatsapp-sidecar.php.
return [
    'engine' => env('WHATSAPP_SIDECAR_ENGINE', WhatsappSidecar\Laravel\Engine\SchemaEngine::class),
    'fallback_route' => env('WHATSAPP_SIDECAR_FALLBACK_ROUTE', true),
    'scoped_models' => [
        'campaigns' => [App\Models\QueuedMessage::class],
        'webhooks' => [App\Models\StoredWebhook::class],
    ],
    'watched_models' => [
        'bots' => [App\Models\BotReply::class],
        'settings' => [App\Models\Vendor::class, App\Models\VendorSetting::class],
    ],
];
