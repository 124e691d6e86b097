<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Closure;
use Illuminate\Contracts\Cache\Repository;
use Psr\Log\LoggerInterface;
use Throwable;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Failure;

/** When the crons last looked into their tables, as the models that they use tell. Kept in Laravel's cache. */
final class SeenCrons
{
    /** How long it is kept, in seconds. */
    private const KEPT_S = 7 * 86400;

    /** A process writes it down no more often than this. */
    private const EVERY_MS = 1000;

    /** @var array<string, int> when this process last wrote it down, by table */
    private array $written = [];

    private bool $failed = false;

    /** @param Closure(): Repository $cache made when it is used: a cron must not fail for it */
    public function __construct(private Closure $cache, private Clock $clock, private LoggerInterface $log)
    {
    }

    /** @param string $table its name in config('whatsapp-sidecar.tables') */
    public function saw(string $table): void
    {
        $now = $this->clock->nowMs();
        if ($this->failed || $now - ($this->written[$table] ?? 0) < self::EVERY_MS) {
            return;
        }
        $this->written[$table] = $now;
        try {
            ($this->cache)()->put(self::key($table), $now, self::KEPT_S);
        } catch (Throwable $error) {
            // The cron has other work to do; said once by each process.
            $this->failed = true;
            $this->log->warning('sidecar check --deep will not know when this cron ran: '
                . Failure::message($error));
        }
    }

    /** @return int|null unix ms; null if that is not known */
    public function at(string $table): ?int
    {
        $at = ($this->cache)()->get(self::key($table));

        return is_numeric($at) ? (int) $at : null;
    }

    private static function key(string $table): string
    {
        return "whatsapp-sidecar:cron:{$table}";
    }
}
