<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use Closure;
use Illuminate\Database\Connection;
use Illuminate\Database\DatabaseManager;
use PDO;
use Psr\Log\LoggerInterface;
use Throwable;

/**
 * Keeps what the package does by itself out of the application's transactions. A write in one holds its lock
 * until that ends, and a deadlock in one has undone all of it, whoever catches the error.
 */
final class AfterTransactions
{
    /** @var array<string, Closure(): void> */
    private array $waiting = [];

    /** @var list<Closure(): void> */
    private array $committed = [];

    private bool $isEnding = false;

    public function __construct(private DatabaseManager $connections, private LoggerInterface $log)
    {
    }

    /** Tell whether any connection is in a transaction, also in one that Laravel does not know of. */
    public function isOpen(): bool
    {
        foreach ($this->connections->getConnections() as $connection) {
            $pdo = $connection->getRawPdo();
            if ($connection->transactionLevel() > 0 || ($pdo instanceof PDO && $pdo->inTransaction())) {
                return true;
            }
        }

        return false;
    }

    /**
     * Run it once no connection is in a transaction, which may be now, whatever becomes of the transaction.
     * What fails is logged: nobody waits for it.
     *
     * @param string $what it is, for the log; one that waits is replaced by a later one of the same name
     * @param Closure(): void $work
     */
    public function whenNone(string $what, Closure $work): void
    {
        $this->waiting[$what] = $work;
        if (! $this->isEnding) {
            $this->runWaiting();
        }
    }

    /**
     * Run it when the connection's transaction is committed, and not if that is rolled back; now, if there is
     * none. What it throws comes out of the commit, after everything else that waits for that: Laravel 8 and 9
     * make a transaction again whose own callbacks fail by a deadlock.
     *
     * @param Closure(): void $work
     */
    public function committed(Connection $connection, Closure $work): void
    {
        if ($connection->transactionLevel() === 0) {
            $work();

            return;
        }
        $isHere = true;
        $isNow = false;
        $connection->afterCommit(function () use ($work, &$isHere, &$isNow): void {
            $isNow = $isHere;
            $this->committed[] = $work;
        });
        $isHere = false;
        // Laravel's own test cases have a transaction around each test, which counts for none.
        if ($isNow) {
            $this->ended();
        }
    }

    /** A transaction has ended, or a request. Throws the first error of what was to follow a commit. */
    public function ended(): void
    {
        $errors = $this->runCommitted();
        $this->runWaiting();
        foreach (array_slice($errors, 1) as $error) {
            report($error);
        }
        if ($errors !== []) {
            throw $errors[0];
        }
    }

    /** @return list<Throwable> */
    private function runCommitted(): array
    {
        [$committed, $this->committed] = [$this->committed, []];
        $errors = [];
        $this->isEnding = true;
        foreach ($committed as $work) {
            try {
                $work();
            } catch (Throwable $error) {
                $errors[] = $error;
            }
        }
        $this->isEnding = false;

        return $errors;
    }

    private function runWaiting(): void
    {
        if ($this->waiting === [] || $this->isOpen()) {
            return;
        }
        [$waiting, $this->waiting] = [$this->waiting, []];
        foreach ($waiting as $what => $work) {
            try {
                $work();
            } catch (Throwable $error) {
                $this->log->warning("whatsapp-sidecar: {$what}: " . Failure::message($error));
            }
        }
    }
}
