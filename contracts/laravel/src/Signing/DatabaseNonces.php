<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use Illuminate\Cache\DatabaseStore;
use Illuminate\Contracts\Cache\Repository;
use Throwable;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Support\AfterTransactions;
use WhatsappSidecar\Laravel\Support\Clock;

/**
 * Ids in a cache store that is a table, or falls back to one. Laravel deletes nothing there that is not asked
 * for again, so now and then a call deletes old ids.
 *
 * An id is signed together with its call's time, so a repeated call has the same key; and the oldest keys stand
 * together, so that no others are read to find them.
 */
final class DatabaseNonces implements Nonces
{
    /** One call in so many deletes. */
    private const EVERY = 100;

    /** Most rows that one deletes; more than come in meanwhile. */
    private const MOST = 1000;

    private const PREFIX = 'whatsapp-sidecar:nonce:';

    /**
     * @param DatabaseStore $store that of $cache, or the one beneath it
     * @param string $table the store's, without the connection's prefix
     */
    public function __construct(
        private Repository $cache,
        private DatabaseStore $store,
        private string $table,
        private AfterTransactions $transactions,
        private Clock $clock,
        private int $every = self::EVERY
    ) {
    }

    public function claim(string $nonce, int $timestamp, int $ttlS): bool
    {
        if (random_int(1, $this->every) === 1 && ! $this->transactions->isOpen()) {
            $this->deleteBefore(intdiv($this->clock->nowMs(), 1000) - $ttlS);
        }

        // The table may not tell letters' case apart.
        return $this->cache->add(self::key($timestamp) . bin2hex($nonce), 1, $ttlS);
    }

    private function deleteBefore(int $second): void
    {
        $prefix = $this->store->getPrefix();
        try {
            $this->store->getConnection()->table($this->table)
                ->where('key', '>=', $prefix . self::PREFIX)
                ->where('key', '<', $prefix . self::key($second))
                ->where('expiration', '<=', intdiv($this->clock->nowMs(), 1000))
                ->orderBy('key')
                ->limit(self::MOST)
                ->delete();
        } catch (Throwable $error) {
            // After a conflict there is nothing to say: another call has deleted them, or a later one will.
            if (! Conflict::is($error)) {
                report($error);
            }
        }
    }

    private static function key(int $timestamp): string
    {
        return self::PREFIX . sprintf('%012d:', $timestamp);
    }
}
