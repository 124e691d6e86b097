<?php

declare(strict_types=1);

// phpcs:disable PSR1.Files.SideEffects -- a script

// Runs SQL for database.py: a line of JSON in ({"sql", "parameters"} or {"encrypt"}), one out.
[, $socket, $database, $key] = $argv;

/** Whether the error means that the connection is no more. */
function lost(Throwable $error): bool
{
    return $error instanceof PDOException && in_array($error->errorInfo[1] ?? null, [2006, 2013], true);
}

function connected(string $socket, string $database): PDO
{
    return new PDO("mysql:unix_socket={$socket};dbname={$database};charset=utf8mb4", 'root', '', [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        PDO::ATTR_EMULATE_PREPARES => false,
        PDO::MYSQL_ATTR_FOUND_ROWS => true,
    ]);
}

/** Return the rows of a statement, or none. */
function run(PDO $pdo, string $sql, ?array $parameters): array
{
    if ($parameters === null) {
        $pdo->exec($sql);

        return [];
    }
    $statement = $pdo->prepare($sql);
    $statement->execute($parameters);

    return $statement->columnCount() > 0 ? $statement->fetchAll() : [];
}

/** Encrypt as Laravel's encrypt() does. */
function encrypted(string $text, string $key): string
{
    $iv = random_bytes(16);
    $value = openssl_encrypt(serialize($text), 'aes-256-cbc', base64_decode($key), 0, $iv);
    $mac = hash_hmac('sha256', base64_encode($iv) . $value, base64_decode($key));

    return base64_encode(json_encode(['iv' => base64_encode($iv), 'value' => $value, 'mac' => $mac, 'tag' => '']));
}

$pdo = null;
while (($line = fgets(STDIN)) !== false) {
    try {
        $order = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
        if (isset($order['encrypt'])) {
            $answer = ['encrypted' => encrypted($order['encrypt'], $key)];
        } else {
            try {
                // A connection that the server's restart has ended is found out here.
                $pdo?->getAttribute(PDO::ATTR_SERVER_INFO);
            } catch (PDOException) {
                $pdo = null;
            }
            $pdo ??= connected($socket, $database);
            $answer = ['rows' => run($pdo, $order['sql'], $order['parameters'] ?? null)];
        }
    } catch (Throwable $error) {
        $answer = ['error' => $error->getMessage()];
        $pdo = lost($error) ? null : $pdo;
    }
    fwrite(STDOUT, json_encode($answer, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
}
