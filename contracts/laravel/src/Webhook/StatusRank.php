<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

/** The order in which a message's status moves up. */
final class StatusRank
{
    private const RANKS = [
        'accepted' => 1,
        'held_for_quality_assessment' => 2,
        'sent' => 3,
        'failed' => 4,
        'delivered' => 5,
        'read' => 6,
        'played' => 7,
    ];

    public const DELIVERED = self::RANKS['delivered'];

    /** Tell whether $new moves a message up from $current (null: it has no status yet). */
    public static function isHigher(?string $current, string $new): bool
    {
        if ($current === null) {
            return true;
        }
        $difference = self::of($new) <=> self::of($current);

        // Two that are not known: which one wins means nothing, but does not depend on the order.
        return $difference !== 0 ? $difference > 0 : strcmp(self::stored($new), $current) > 0;
    }

    public static function of(string $status): int
    {
        if (isset(self::RANKS[$status])) {
            return self::RANKS[$status];
        }
        foreach (self::RANKS as $name => $rank) {
            if (self::stored($name) === $status) {
                return $rank;
            }
        }

        return 0;
    }

    /** Return a status as the log's column takes it. */
    public static function stored(string $status): string
    {
        return mb_substr($status, 0, (int) config('whatsapp-sidecar.log_status_length', 10));
    }
}
