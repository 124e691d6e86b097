<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** A connection of Laravel's config/broadcasting.php, as the contract's Broadcaster. */
final class BroadcastConnection
{
    /**
     * Return where the server of a Pusher or Reverb connection is; null if the connection has none.
     *
     * @return array<string, string>|null
     */
    public static function broadcaster(mixed $connection): ?array
    {
        $fields = ['app_id', 'key', 'secret'];
        $found = is_array($connection) ? array_intersect_key($connection, array_flip($fields)) : [];
        if (count(array_filter($found)) < count($fields)) {
            return null;
        }

        return ['url' => self::url((array) ($connection['options'] ?? []))] + array_map('strval', $found);
    }

    /** @param array<string, mixed> $options as Pusher's own library takes them */
    private static function url(array $options): string
    {
        $host = ($options['host'] ?? null) ?: 'api-' . (($options['cluster'] ?? null) ?: 'mt1') . '.pusher.com';
        $secure = ($options['scheme'] ?? null) === 'https' || ($options['useTLS'] ?? false);
        // Pusher's own servers take both; a secret's signature is no reason to go in the clear.
        $secure = $secure || ! ($options['host'] ?? null);
        $port = (int) ($options['port'] ?? 0);

        return ($secure ? 'https://' : 'http://') . $host . ($port > 0 ? ":{$port}" : '');
    }
}
