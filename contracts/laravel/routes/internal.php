<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;
use WhatsappSidecar\Laravel\Http\Controllers\InternalController;

Route::post('process-webhook/{vendorUid}', [InternalController::class, 'processWebhook']);
Route::post('process-webhooks', [InternalController::class, 'processWebhooks']);
Route::post('store-webhooks', [InternalController::class, 'storeWebhooks']);
Route::post('pending-webhooks', [InternalController::class, 'pendingWebhooks']);
Route::post('claim-messages', [InternalController::class, 'claimMessages']);
Route::post('release-messages', [InternalController::class, 'releaseMessages']);
Route::post('update-message-status', [InternalController::class, 'updateMessageStatus']);
Route::post('update-message-statuses', [InternalController::class, 'updateMessageStatuses']);
Route::post('due-campaigns', [InternalController::class, 'dueCampaigns']);
Route::post('unknown-messages', [InternalController::class, 'unknownMessages']);
Route::post('resolve-messages', [InternalController::class, 'resolveMessages']);
Route::post('retry-messages', [InternalController::class, 'retryMessages']);
Route::post('epoch', [InternalController::class, 'epoch']);
Route::post('vendor-config', [InternalController::class, 'vendorConfig']);
Route::post('bots', [InternalController::class, 'bots']);
Route::post('ai-answers', [InternalController::class, 'aiAnswers']);
Route::post('pending-effects', [InternalController::class, 'pendingEffects']);
Route::post('media', [InternalController::class, 'media']);
Route::post('modes', [InternalController::class, 'modes']);
Route::post('observe', [InternalController::class, 'observe']);
Route::post('preview-messages', [InternalController::class, 'previewMessages']);
Route::post('find', [InternalController::class, 'find']);
Route::post('diagnosis', [InternalController::class, 'diagnosis']);
