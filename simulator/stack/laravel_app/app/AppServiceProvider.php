<?php

declare(strict_types=1);

namespace App;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use WhatsappSidecar\Laravel\Events\UpdateTaken;

final class AppServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        // Where nobody asks for faults, as in a benchmark, nobody listens: it is fired for every update.
        foreach (['poison' => PoisonListener::class, 'faults' => FaultListener::class] as $file => $listener) {
            if (is_file(storage_path($file))) {
                $this->app['events']->listen(UpdateTaken::class, $listener);
            }
        }
        if (config('services.whatsapp.webhook_route') && ! $this->app->routesAreCached()) {
            Route::prefix('')->group(base_path('routes/webhook.php'));
        }
        if (config('app.strict_models')) {
            // From Laravel 9.35 on it is one call.
            method_exists(Model::class, 'shouldBeStrict') ? Model::shouldBeStrict() : Model::preventLazyLoading();
        }
    }
}
