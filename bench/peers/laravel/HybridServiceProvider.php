<?php

declare(strict_types=1);

namespace Peers;

use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;

/** The reference application as a Node hybrid calls it: without a session, or middleware of a route's own. */
final class HybridServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        if ($this->app->routesAreCached()) {
            return;
        }
        Route::prefix('internal')->group(static function (): void {
            Route::post('process-webhook/{vendorUid}', [HybridController::class, 'processWebhook']);
            Route::post('due-messages', [HybridController::class, 'dueMessages']);
            Route::post('update-message-status', [HybridController::class, 'updateMessageStatus']);
        });
    }
}
