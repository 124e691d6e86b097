<?php

declare(strict_types=1);

// Runs SQL for the tests: a line of JSON in ({"sql", "parameters"} or {"encrypt"}), one out.
[, $socket, $database, $key] = $argv;
$pdo = new PDO("mysql:unix_socket={$socket};dbname={$database};charset=utf8mb4", 'root', '', [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
    PDO::ATTR_EMULATE_PREPARES => false,
    PDO::MYSQL_ATTR_FOUND_ROWS => true,
]);

/** Encrypt as Laravel's encrypt() does. */
function encrypted(string $text, string $key): string
{
    $iv = random_bytes(16);
    $value = openssl_encrypt(serialize($text), 'aes-256-cbc', base64_decode($key), 0, $iv);
    $mac = hash_hmac('sha256', base64_encode($iv) . $value, base64_decode($key));

    return base64_encode(json_encode(['iv' => base64_encode($iv), 'value' => $value, 'mac' => $mac, 'tag' => '']));
}

while (($line = fgets(STDIN)) !== false) {
    try {
        $order = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
        if (isset($order['encrypt'])) {
            $answer = ['encrypted' => encrypted($order['encrypt'], $key)];
        } elseif (($order['parameters'] ?? null) === null) {
            $pdo->exec($order['sql']);
            $answer = ['rows' => []];
        } else {
            $statement = $pdo->prepare($order['sql']);
            $statement->execute($order['parameters']);
            $answer = ['rows' => $statement->columnCount() > 0 ? $statement->fetchAll() : []];
        }
    } catch (Throwable $error) {
        $answer = ['error' => $error->getMessage()];
    }
    fwrite(STDOUT, json_encode($answer, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
}
