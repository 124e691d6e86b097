<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use Illuminate\Contracts\Cache\Repository;

/** Ids in a cache store; one that all PHP machines share. */
final class CacheNonces implements Nonces
{
    public function __construct(private Repository $cache)
    {
    }

    public function claim(string $nonce, int $timestamp, int $ttlS): bool
    {
        return $this->cache->add("whatsapp-sidecar:nonce:{$nonce}", 1, $ttlS);
    }
}
