<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use WhatsappSidecar\Laravel\Store\Vendors;

/** All settings of vendors, for what stays in PHP. A vendor is named by `_uid` or by `_id`. */
final class CachedVendors
{
    public const WHAT = 'settings';

    /** @var array<string, int> */
    private array $ids = [];

    public function __construct(private VersionedCache $cache, private Vendors $vendors)
    {
    }

    /** @return array<string, ?string> values in the clear, by the application's own names */
    public function settings(int|string $vendor): array
    {
        $id = $this->id($vendor);

        return $this->cache->read(self::WHAT, $id, fn (): array => $this->vendors->allSettings($id));
    }

    public function setting(int|string $vendor, string $name, ?string $default = null): ?string
    {
        return $this->settings($vendor)[$name] ?? $default;
    }

    /** Return `vendors._id`, which a uid keeps for ever. */
    public function id(int|string $vendor): int
    {
        return is_int($vendor) ? $vendor : $this->ids[$vendor] ??= $this->vendors->id($vendor);
    }
}
