<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Illuminate\Database\Connection;
use Illuminate\Database\DatabaseManager;
use PDO;

/** Transactions on any connection, which code of the application's may leave open, or end where they are not its own. */
final class OpenTransactions
{
    public const LEFT_OPEN = 'the routine left a transaction open, which was rolled back';

    public const NOT_ITS_OWN = 'the routine has ended a transaction that it did not begin';

    public const ENDED = 'the transaction was ended in the middle, by a conflict that the routine has swallowed, say';

    public function __construct(private DatabaseManager $connections)
    {
    }

    /** @return array<string, int> how deep each connection is in transactions */
    public function levels(): array
    {
        return array_map(
            static fn (Connection $connection): int => $connection->transactionLevel(),
            $this->connections->getConnections()
        );
    }

    /**
     * Roll back what was begun since.
     *
     * @param array<string, int> $before
     *
     * @return string|null what was wrong
     */
    public function restore(array $before): ?string
    {
        $wrong = null;
        foreach ($this->connections->getConnections() as $name => $connection) {
            $level = $connection->transactionLevel();
            $was = $before[$name] ?? 0;
            if ($level > $was) {
                $connection->rollBack($was);
                $wrong ??= self::LEFT_OPEN;
            } elseif ($level < $was) {
                $wrong = self::NOT_ITS_OWN;
            } elseif ($was > 0 && self::hasEnded($connection)) {
                // Which is none of those that Laravel counts; a new connection has none.
                $connection->reconnect();
                $wrong = self::ENDED;
            }
            // Begun by a statement, of which Laravel does not know.
            $pdo = $connection->getRawPdo();
            if ($connection->transactionLevel() === 0 && $pdo instanceof PDO && $pdo->inTransaction()) {
                $pdo->rollBack();
                $wrong ??= self::LEFT_OPEN;
            }
        }

        return $wrong;
    }

    /** After an error the server does not say whether it has rolled all back; it says so with the next answer. */
    private static function hasEnded(Connection $connection): bool
    {
        $pdo = $connection->getPdo();
        $pdo->exec('DO 0');

        return ! $pdo->inTransaction();
    }
}
