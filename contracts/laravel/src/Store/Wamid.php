<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/**
 * Ids of messages in the log's column. One that is longer than the column has a stand-in there, and
 * stands whole in `__data.wamid`. The column's collation takes `wamid.A` and `wamid.a` for the same;
 * they are two messages.
 */
final class Wamid
{
    /** Finds a message's row by its index, letter for letter. Takes what same() returns. */
    public const SAME = 'wamid = ? AND CAST(wamid AS BINARY) = CAST(? AS BINARY)';

    private const LENGTH = 255;

    /** Return the id as the column holds it. */
    public static function stored(string $wamid): string
    {
        if (mb_strlen($wamid) <= self::LENGTH) {
            return $wamid;
        }
        $hash = hash('sha256', $wamid);

        return mb_substr($wamid, 0, self::LENGTH - 1 - strlen($hash)) . "~{$hash}";
    }

    /**
     * Return what belongs into `__data` beside it.
     *
     * @return array<string, string>
     */
    public static function data(string $wamid): array
    {
        return self::stored($wamid) === $wamid ? [] : ['wamid' => $wamid];
    }

    /**
     * Return the bindings of SAME.
     *
     * @return array{string, string}
     */
    public static function same(string $wamid): array
    {
        $stored = self::stored($wamid);

        return [$stored, $stored];
    }
}
