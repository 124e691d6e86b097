<?php

declare(strict_types=1);

// What PHPUnit runs first on each version of PHP: whatever PHP has to say of the package's code, a
// deprecation too, is an error, in a test or when a file is read. Others' code may be older.
// What is silenced by "@" stays silent.

require __DIR__ . '/../../simulator/stack/laravel_app/bootstrap/autoload.php';

error_reporting(E_ALL);

$package = (string) realpath(__DIR__ . '/../../contracts/laravel') . '/';

set_error_handler(
    static function (int $level, string $message, string $file, int $line) use ($package): bool {
        $isOurs = str_starts_with((string) realpath($file), $package);
        if ($isOurs && (error_reporting() & $level) !== 0) {
            throw new ErrorException($message, 0, $level, $file, $line);
        }

        return ! $isOurs && ($level & (E_DEPRECATED | E_USER_DEPRECATED)) !== 0;
    }
);

$files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator($package . 'src'));
foreach ($files as $file) {
    if ($file->getExtension() === 'php') {
        require_once $file->getPathname();
    }
}
