<?php

declare(strict_types=1);

// As `php artisan down --render` leaves it.
if (is_file($maintenance = (getenv('APP_STORAGE') ?: sys_get_temp_dir()) . '/framework/maintenance.php')) {
    require $maintenance;
}

$app = require __DIR__ . '/../bootstrap/app.php';

$kernel = $app->make(Illuminate\Contracts\Http\Kernel::class);
$request = Illuminate\Http\Request::capture();
$response = $kernel->handle($request)->send();
$kernel->terminate($request, $response);
