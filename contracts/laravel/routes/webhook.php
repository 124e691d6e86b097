<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;
use WhatsappSidecar\Laravel\Http\WebhookController;

Route::get(config('sidecar.fallback_path'), [WebhookController::class, 'verify']);
Route::post(config('sidecar.fallback_path'), [WebhookController::class, 'receive']);
