<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use WhatsappSidecar\Laravel\Store\Bots;
use WhatsappSidecar\Laravel\Store\Vendors;

/** Bots of vendors, for what stays in PHP. A vendor is named by `_uid` or by `_id`. */
final class CachedBots
{
    public const WHAT = 'bots';

    public function __construct(
        private VersionedCache $cache,
        private CachedVendors $cached,
        private Vendors $vendors,
        private Bots $bots
    ) {
    }

    /** @return array<string, mixed> the contract's VendorBots; no bots where there is no such vendor */
    public function of(int|string $vendor): array
    {
        $id = $this->cached->id($vendor);

        return $this->cache->read(self::WHAT, $id, function () use ($id): array {
            $found = $this->bots->of(array_values($this->vendors->loadByIds([$id])));

            return $found[0] ?? ['bots' => [], 'hours' => null];
        });
    }
}
