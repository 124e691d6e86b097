<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;
use WhatsappSidecar\Laravel\Http\Controllers\ConsoleController;

Route::get(config('whatsapp-sidecar.console.path'), [ConsoleController::class, 'open'])
    ->name(config('whatsapp-sidecar.console.name'));
