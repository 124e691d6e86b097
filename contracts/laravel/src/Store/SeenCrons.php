<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Closure;
use Illuminate\Contracts\Cache\Repository;
use Psr\Log\LoggerInterface;
use Throwable;
use WhatsappSidecar\Laravel\Support\AfterTransactions;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Failure;

/**
 * When the crons last looked into their tables, as the models that they use tell. Kept in Laravel's cache, which
 * may be in the database: written when no transaction is open.
 */
final class SeenCrons
{
    /** How long it is kept, in seconds. */
    private const KEPT_S = 7 * 86400;

    /** A process writes it down no more often than this, and than that once it has failed. */
    private const EVERY_MS = 1000;

    private const AFTER_FAILURE_MS = 60_000;

    /** @var array<string, int> when this process may write it down again, by table */
    private array $next = [];

    /** @param Closure(): Repository $cache made when it is used: a cron must not fail for it */
    public function __construct(
        private Closure $cache,
        private AfterTransactions $transactions,
        private Clock $clock,
        private LoggerInterface $log
    ) {
    }

    /** @param string $table its name in config('whatsapp-sidecar.tables') */
    public function saw(string $table): void
    {
        $now = $this->clock->nowMs();
        if ($now < ($this->next[$table] ?? 0)) {
            return;
        }
        $this->next[$table] = $now + self::EVERY_MS;
        $this->transactions->whenNone("cron:{$table}", fn () => $this->write($table, $now));
    }

    /** @return int|null unix ms; null if that is not known */
    public function at(string $table): ?int
    {
        $at = ($this->cache)()->get(self::key($table));

        return is_numeric($at) ? (int) $at : null;
    }

    private function write(string $table, int $at): void
    {
        try {
            ($this->cache)()->put(self::key($table), $at, self::KEPT_S);
        } catch (Throwable $error) {
            // The cron has other work to do.
            $this->next[$table] = $at + self::AFTER_FAILURE_MS;
            $this->log->warning('sidecar check --deep will not know when this cron ran: '
                . Failure::message($error));
        }
    }

    private static function key(string $table): string
    {
        return "whatsapp-sidecar:cron:{$table}";
    }
}
