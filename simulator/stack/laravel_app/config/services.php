<?php

declare(strict_types=1);

return ['whatsapp' => ['url' => env('WHATSAPP_API_URL', 'https://graph.facebook.com/v26.0')]];
