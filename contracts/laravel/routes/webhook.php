<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;
use WhatsappSidecar\Laravel\Http\Controllers\WebhookController;

Route::get(config('whatsapp-sidecar.fallback_path'), [WebhookController::class, 'verify']);
Route::post(config('whatsapp-sidecar.fallback_path'), [WebhookController::class, 'receive']);
