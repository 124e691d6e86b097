<?php

declare(strict_types=1);

// Prints when each customer's message has its committed row, as somebody else's connection sees it: the time
// (Unix, in seconds) and its wamid. Arguments: socket, database, and how often to look, in microseconds.
[, $socket, $database, $pauseUs] = $argv;

$pdo = new PDO("mysql:unix_socket={$socket};dbname={$database};charset=utf8mb4", 'root', '', [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
]);
$last = (int) $pdo->query('SELECT COALESCE(MAX(_id), 0) FROM whatsapp_message_logs')->fetchColumn();
$look = $pdo->prepare(
    'SELECT _id, wamid FROM whatsapp_message_logs WHERE _id > ? AND is_incoming_message = 1 ORDER BY _id'
);
$known = [];
fwrite(STDOUT, "watching\n");
while (posix_getppid() > 1) {
    // A transaction that began earlier may commit later: look a little further back.
    $look->execute([max(0, $last - 500)]);
    $now = microtime(true);
    foreach ($look->fetchAll(PDO::FETCH_NUM) as [$id, $wamid]) {
        if (! isset($known[$id])) {
            $known[$id] = true;
            fwrite(STDOUT, sprintf("%.6f %s\n", $now, $wamid));
            $last = max($last, (int) $id);
        }
    }
    usleep((int) $pauseUs);
}
