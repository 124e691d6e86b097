<?php

declare(strict_types=1);

return [
    'name' => 'Reference application',
    'env' => 'testing',
    'debug' => (bool) env('APP_DEBUG', false),
    'url' => env('APP_URL', 'http://localhost'),
    'timezone' => env('APP_TIMEZONE', 'UTC'),
    'strict_models' => (bool) env('APP_STRICT_MODELS', false),
    'locale' => 'en',
    'fallback_locale' => 'en',
    'key' => env('APP_KEY'),
    'cipher' => 'AES-256-CBC',
    // The last one: of a benchmark's peer, if there is one.
    'providers' => array_filter([
        Illuminate\Broadcasting\BroadcastServiceProvider::class,
        Illuminate\Bus\BusServiceProvider::class,
        Illuminate\Cache\CacheServiceProvider::class,
        Illuminate\Foundation\Providers\ConsoleSupportServiceProvider::class,
        Illuminate\Database\DatabaseServiceProvider::class,
        Illuminate\Encryption\EncryptionServiceProvider::class,
        Illuminate\Filesystem\FilesystemServiceProvider::class,
        Illuminate\Foundation\Providers\FoundationServiceProvider::class,
        Illuminate\Queue\QueueServiceProvider::class,
        Illuminate\Redis\RedisServiceProvider::class,
        Illuminate\Translation\TranslationServiceProvider::class,
        Illuminate\View\ViewServiceProvider::class,
        WhatsappSidecar\Laravel\SidecarServiceProvider::class,
        App\AppServiceProvider::class,
        // Loads the routes that `artisan route:cache` has cached.
        Illuminate\Foundation\Support\Providers\RouteServiceProvider::class,
        env('APP_PEER_PROVIDER'),
    ]),
    'aliases' => [],
];
