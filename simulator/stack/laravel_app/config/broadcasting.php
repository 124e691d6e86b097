<?php

declare(strict_types=1);

// The connection "whatsapp-sidecar" is the package's own.
return [
    'default' => env('BROADCAST_DRIVER', 'null'),
    'connections' => [
        'pusher' => [
            'driver' => 'pusher',
            'key' => env('PUSHER_APP_KEY'),
            'secret' => env('PUSHER_APP_SECRET'),
            'app_id' => env('PUSHER_APP_ID'),
            'options' => ['cluster' => env('PUSHER_APP_CLUSTER')],
        ],
        'log' => ['driver' => 'log'],
    ],
];
