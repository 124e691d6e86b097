<?php

declare(strict_types=1);

// Laravel as Debian packages it (php-laravel-framework), and the package without Composer.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);

require_once 'Illuminate/autoload.php';

(static function (): void {
    $package = getenv('SIDECAR_PACKAGE') ?: __DIR__ . '/../../../../contracts/laravel';
    $roots = [
        'WhatsappSidecar\\Laravel\\Tests\\' => __DIR__ . '/../../../../contracts/laravel/tests/',
        'WhatsappSidecar\\Laravel\\' => $package . '/src/',
        'App\\' => __DIR__ . '/../app/',
        'Peers\\' => __DIR__ . '/../../../../bench/peers/laravel/',
    ];
    spl_autoload_register(static function (string $class) use ($roots): void {
        foreach ($roots as $prefix => $folder) {
            $file = $folder . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
            if (str_starts_with($class, $prefix) && is_file($file)) {
                require $file;

                return;
            }
        }
    });
})();
