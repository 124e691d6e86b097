<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use Closure;
use DateTimeImmutable;
use DateTimeZone;

/**
 * Between the contract's unix milliseconds and the tables' text of whole seconds, which is local time of the
 * application's zone, as Laravel writes it.
 *
 * Where clocks are put back, an hour of that text comes twice. What falls due then is never early, and what
 * is too old then is never so too early; either may be late by that hour.
 */
final class Time
{
    /** 9999-12-31 23:59:59, the last second that a datetime column can hold. */
    private const LAST_SECOND = 253402300799;

    private const FORMAT = 'Y-m-d H:i:s';

    /** Longer than any change of the clocks, and shorter than the time between two. */
    private const AROUND_S = 2 * 86400;

    /** @var Closure(): DateTimeZone */
    private static ?Closure $choose = null;

    private static ?DateTimeZone $zone = null;

    /** @param ?Closure(): DateTimeZone $choose asked when a time is needed; null: UTC */
    public static function useZone(?Closure $choose): void
    {
        self::$choose = $choose;
        self::$zone = null;
    }

    /** Return the zone of the tables' times. */
    public static function zone(): DateTimeZone
    {
        return self::$zone ??= self::$choose === null ? new DateTimeZone('UTC') : (self::$choose)();
    }

    /** Return the second in which $ms lies. Times beyond the column's range become its ends. */
    public static function text(int $ms): string
    {
        $second = self::second($ms);

        return self::format($second + self::offset($second));
    }

    /** Return the second in which $ms lies, in UTC. */
    public static function utc(int $ms): string
    {
        return self::format(self::second($ms));
    }

    /**
     * Return the first whole second that is not before $ms and is not reached before, so that nothing falls
     * due early.
     */
    public static function due(int $ms, int $nowMs): string
    {
        $second = self::second(min($ms, self::LAST_SECOND * 1000) + 999);
        $text = $second + self::offset($second);
        $start = min(self::second($nowMs), $second);
        foreach (self::periods(max($start, $second - self::AROUND_S), $second) as [, $end, $offset]) {
            $text = max($text, $end <= $second ? $end + $offset : $text);
        }

        return self::format($text);
    }

    /** Return a text that is after none which was written since $ms, and before what was written earlier. */
    public static function before(int $ms, int $nowMs): string
    {
        $second = self::second($ms);
        $text = $second + self::offset($second);
        foreach (self::periods($second, max($second, self::second($nowMs))) as [$start, , $offset]) {
            $text = min($text, max($start, $second) + $offset);
        }

        return self::format($text);
    }

    /**
     * Return the first unix milliseconds, not before $fromMs, at which a column's text is reached; null if
     * there is no text.
     */
    public static function ms(?string $text, int $fromMs = PHP_INT_MIN): ?int
    {
        $times = self::times($text);
        foreach ($times as [$start, $end]) {
            $second = max($start, (int) ceil($fromMs / 1000));
            if ($second < $end) {
                return $second * 1000;
            }
        }

        return $times === [] ? null : $times[0][0] * 1000;
    }

    /** Return the last unix milliseconds, not after $nowMs, at which a text was written; null if there is none. */
    public static function pastMs(?string $text, int $nowMs): ?int
    {
        $times = self::times($text);
        foreach (array_reverse($times) as [$start]) {
            if ($start * 1000 <= $nowMs) {
                return $start * 1000;
            }
        }

        return $times === [] ? null : $times[0][0] * 1000;
    }

    /** Return a time as a column has it. `T` and what follows the seconds are accepted: `Z`, or an offset. */
    public static function column(string $text): string
    {
        $text = str_replace('T', ' ', $text);
        if (! preg_match('/\A(.{19})(?:\.\d+)?(Z|[+-]\d\d:?\d\d)\z/D', $text, $parts)) {
            return substr($text, 0, 19);
        }
        $moment = DateTimeImmutable::createFromFormat('!' . self::FORMAT . 'P', $parts[1] . $parts[2]);

        return $moment === false ? $parts[1] : self::text($moment->getTimestamp() * 1000);
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

    private static function second(int $ms): int
    {
        return min(max(intdiv($ms, 1000), 0), self::LAST_SECOND);
    }

    private static function format(int $local): string
    {
        return gmdate(self::FORMAT, min($local, self::LAST_SECOND));
    }

    /** Return how many seconds local time is ahead of UTC. */
    private static function offset(int $second): int
    {
        return self::zone()->getOffset(new DateTimeImmutable("@{$second}"));
    }

    /**
     * Return when local time has reached a text and not been put back behind it: once, or twice where an hour
     * comes twice. A time that the clocks skip is reached when they do.
     *
     * @return list<array{int, int}> unix seconds, first and beyond the last
     */
    private static function times(?string $text): array
    {
        $moment = DateTimeImmutable::createFromFormat(
            '!' . self::FORMAT,
            $text === null ? '' : self::column($text),
            new DateTimeZone('UTC')
        );
        if ($moment === false) {
            return [];
        }
        $local = max($moment->getTimestamp(), 0);
        $times = [];
        $last = $local + self::AROUND_S;
        foreach (self::periods($local - self::AROUND_S, $last) as [$start, $end, $offset]) {
            $reached = max($start, $local - $offset);
            $stays = $times !== [] && end($times)[1] === $start && $local - $offset < $start;
            if ($stays) {
                $times[array_key_last($times)][1] = $end;
            } elseif ($reached < $end) {
                $times[] = [max($reached, 0), $end];
            }
        }

        return $times;
    }

    /**
     * Return the parts of a stretch of time in which the clocks run without a change.
     *
     * @return list<array{int, int, int}> unix seconds, first and beyond the last, and the offset
     */
    private static function periods(int $from, int $until): array
    {
        $changes = self::zone()->getTransitions($from, $until) ?: [];
        $periods = [];
        foreach ($changes as $place => $change) {
            $start = $place === 0 ? $from : $change['ts'];
            $periods[] = [$start, $changes[$place + 1]['ts'] ?? $until + 1, $change['offset']];
        }

        return $periods ?: [[$from, $until + 1, self::offset($from)]];
    }
}
