<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

/**
 * What a cache store of config('cache.stores') writes to. One whose driver is "failover" (from Laravel 12 on)
 * writes to the first of several that works, which Laravel's own class does not tell.
 */
final class StoresBeneath
{
    /**
     * @param string|null $name the store's; null for the application's default one
     *
     * @return array<string, string|null> drivers by the names of the stores
     */
    public static function of(?string $name): array
    {
        $name ??= (string) config('cache.default');
        $store = (array) config("cache.stores.{$name}");
        $driver = $store['driver'] ?? null;
        if ($driver !== 'failover') {
            return [$name => $driver];
        }

        return array_merge(...array_map([self::class, 'of'], array_values($store['stores'] ?? [])));
    }

    /** Return the name of the first that is a table. */
    public static function table(?string $name): ?string
    {
        $found = array_search('database', self::of($name), true);

        return $found === false ? null : $found;
    }
}
