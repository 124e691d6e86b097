<?php

declare(strict_types=1);

// simulator/stack/host.py lists what hosts do differently, and its variables.
$mode = env('DB_SQL_MODE', 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,'
    . 'ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION');
$database = env('DB_DATABASE', 'reference');
$mysql = [
    'driver' => 'mysql',
    'unix_socket' => env('DB_SOCKET', ''),
    'host' => env('DB_HOST', '127.0.0.1'),
    'port' => env('DB_PORT', '3306'),
    'database' => $database,
    'username' => env('DB_USERNAME', 'root'),
    'password' => env('DB_PASSWORD', ''),
    'prefix' => env('DB_PREFIX', ''),
    'engine' => null,
    'options' => [
        // Each request has a connection of its own. Laravel 8 would set charset, collation and
        // strict in two statements; this is the one that Laravel 11 makes of them.
        PDO::MYSQL_ATTR_INIT_COMMAND => 'SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci,'
            . " SESSION sql_mode='{$mode}'",
    ] + (env('DB_FOUND_ROWS') ? [PDO::MYSQL_ATTR_FOUND_ROWS => true] : []),
];
if (env('DB_REPLICA')) {
    $mysql += [
        'read' => ['database' => env('DB_REPLICA')],
        'write' => ['database' => $database],
        'sticky' => (bool) env('DB_STICKY'),
    ];
}

return [
    'default' => 'mysql',
    'connections' => [
        'mysql' => env('DB_DEFAULT_DATABASE')
            ? array_diff_key(['database' => env('DB_DEFAULT_DATABASE')] + $mysql, ['read' => 0, 'write' => 0])
            : $mysql,
        'whatsapp' => $mysql,
    ],
    'migrations' => 'migrations',
    'redis' => [
        'client' => 'phpredis',
        'options' => ['prefix' => 'reference:'],
        'default' => ['url' => env('REDIS_URL')],
    ],
];
