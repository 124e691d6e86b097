<?php

declare(strict_types=1);

namespace App;

use Illuminate\Support\ServiceProvider;
use WhatsappSidecar\Laravel\Events\UpdateTaken;

final class AppServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->app['events']->listen(UpdateTaken::class, PoisonListener::class);
        $this->app['events']->listen(UpdateTaken::class, FaultListener::class);
    }
}
