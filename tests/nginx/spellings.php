<?php

declare(strict_types=1);

// Puts paths together from the given seed, and prints those that Laravel would take for an
// internal route when nginx passes them on as they are.
error_reporting(E_ALL & ~E_DEPRECATED);
require 'Illuminate/autoload.php';

const PIECES = [
    '/', '//', '/.', '/..', '/./', '/../', '.', '%2e', '%2f', '%2F', '%5c', '\\', '/x', 'x',
    '/index.php', '/index%2ephp', '/INDEX.PHP', 'index.php', '/public', '/internal', 'internal',
    '/%69nternal', '%2569nternal', '/INTERNAL', '/claim', 'claim', '/match-bot', '?', '#', ';',
    '%00', '%0a', '%20', '%23', '%3f', '%c0%af', 'http://h', '@', ':80',
];

mt_srand((int) $argv[1]);
$server = ['SCRIPT_NAME' => '/index.php', 'SCRIPT_FILENAME' => '/srv/public/index.php'];
$found = [];
for ($tries = (int) $argv[2]; $tries > 0; $tries--) {
    $target = '';
    for ($length = mt_rand(1, 6); $length > 0; $length--) {
        $target .= PIECES[mt_rand(0, count(PIECES) - 1)];
    }
    $request = new Illuminate\Http\Request([], [], [], [], [], ['REQUEST_URI' => $target] + $server);
    $path = rawurldecode(rtrim($request->getPathInfo(), '/'));
    if (preg_match('{^/(internal|match-bot)(/|$)}i', $path)) {
        $found[$target] = true;
    }
}
echo implode("\n", array_keys($found));
