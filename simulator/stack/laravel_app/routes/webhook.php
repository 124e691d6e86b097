<?php

declare(strict_types=1);

use App\Http\Controllers\WebhookController;
use Illuminate\Support\Facades\Route;

Route::get('whatsapp-webhook/{vendorUid}', [WebhookController::class, 'verify']);
Route::post('whatsapp-webhook/{vendorUid}', [WebhookController::class, 'receive']);
