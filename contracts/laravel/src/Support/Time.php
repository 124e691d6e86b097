<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use DateTimeImmutable;
use DateTimeZone;

/** Between the contract's unix milliseconds and the tables' UTC text of whole seconds. */
final class Time
{
    /** 9999-12-31 23:59:59, the last second that a datetime column can hold. */
    private const LAST_SECOND = 253402300799;

    private const FORMAT = 'Y-m-d H:i:s';

    /** Return the second in which $ms lies. Times beyond the column's range become its ends. */
    public static function text(int $ms): string
    {
        return gmdate(self::FORMAT, min(max(intdiv($ms, 1000), 0), self::LAST_SECOND));
    }

    /** Return the first whole second that is not before $ms, so that nothing falls due early. */
    public static function textUp(int $ms): string
    {
        return self::text(min($ms, self::LAST_SECOND * 1000) + 999);
    }

    /** Return the unix milliseconds of a column's text; null if there is none. */
    public static function ms(?string $text): ?int
    {
        if ($text === null || $text === '') {
            return null;
        }
        $moment = DateTimeImmutable::createFromFormat(
            '!' . self::FORMAT,
            self::column($text),
            new DateTimeZone('UTC')
        );

        return $moment === false ? null : $moment->getTimestamp() * 1000;
    }

    /** Return a time as a column has it. `T` and what follows the seconds are accepted. */
    public static function column(string $text): string
    {
        return str_replace('T', ' ', substr($text, 0, 19));
    }

    /** Return the milliseconds of one of Meta's timestamps (unix seconds, text or number). */
    public static function metaMs(mixed $value): ?int
    {
        if (is_string($value)) {
            if (! preg_match('/^[0-9]{1,12}$/D', $value)) {
                return null;
            }
            $value = (int) $value;
        }

        return is_int($value) && $value >= 0 && $value <= self::LAST_SECOND ? $value * 1000 : null;
    }
}
