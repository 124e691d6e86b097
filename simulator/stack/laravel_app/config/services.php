<?php

declare(strict_types=1);

return ['whatsapp' => [
    'url' => env('WHATSAPP_API_URL', 'https://graph.facebook.com/v26.0'),
    // Whether the application has a webhook route of its own, in the place of the package's.
    'webhook_route' => (bool) env('WHATSAPP_WEBHOOK_ROUTE', false),
]];
