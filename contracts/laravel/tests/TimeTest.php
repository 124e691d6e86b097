<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use DateTimeZone;
use PHPUnit\Framework\TestCase;
use stdClass;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Support\Time;

/** Times of the tables in zones other than UTC, and where clocks are changed. */
final class TimeTest extends TestCase
{
    protected function tearDown(): void
    {
        Time::useZone(null);
    }

    public function testTextIsLocalTime(): void
    {
        self::in('America/Sao_Paulo');
        $ms = self::moment('2026-03-10T14:30:00Z');
        self::assertSame('2026-03-10 11:30:00', Time::text($ms));
        self::assertSame('2026-03-10 14:30:00', Time::utc($ms));
        self::assertSame($ms, Time::ms('2026-03-10 11:30:00'));
        self::assertSame('2026-03-10 11:30:01', Time::due($ms + 1, $ms));
        self::assertSame('2026-03-10 11:25:00', Time::before($ms - 300_000, $ms));
    }

    public function testTheEndsOfAColumnHoldEverywhere(): void
    {
        foreach (['UTC', 'Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Europe/Berlin'] as $zone) {
            self::in($zone);
            self::assertLessThanOrEqual('9999-12-31 23:59:59', Time::text(PHP_INT_MAX), $zone);
            self::assertLessThanOrEqual('9999-12-31 23:59:59', Time::due(PHP_INT_MAX, 0), $zone);
            self::assertSame(19, strlen(Time::text(PHP_INT_MIN)), $zone);
            self::assertGreaterThanOrEqual(0, Time::ms('1970-01-01 00:00:00'), $zone);
            self::assertGreaterThan(0, Time::ms('9999-12-31 23:59:59'), $zone);
        }
    }

    /** At 03:00 of summer time it is 02:00 again. */
    public function testWhereAnHourComesTwiceNothingIsEarly(): void
    {
        self::in('Europe/Berlin');
        $back = self::moment('2026-10-25T01:00:00Z');
        self::assertSame(['02:59:59', '02:00:00'], [self::clock($back - 1000), self::clock($back)]);
        // Ten minutes from 02:55 are 02:05, which lies behind.
        self::assertSame('2026-10-25 03:00:00', Time::due($back + 300_000, $back - 300_000));
        self::assertSame('2026-10-25 02:15:00', Time::due($back + 900_000, $back + 300_000));
        self::assertSame('2026-10-25 02:50:00', Time::due($back - 600_000, $back - 1_200_000));
        // What was written at 02:01 is not older than five minutes at 02:02.
        self::assertSame('2026-10-25 02:00:00', Time::before($back - 180_000, $back + 120_000));
        self::assertSame('2026-10-25 02:02:00', Time::before($back + 120_000, $back + 420_000));
        self::assertSame('2026-10-25 02:40:00', Time::before($back - 1_200_000, $back - 900_000));
    }

    public function testATextOfTheHourThatComesTwice(): void
    {
        self::in('Europe/Berlin');
        $back = self::moment('2026-10-25T01:00:00Z');
        [$first, $second] = [$back - 1_800_000, $back + 1_800_000];
        $text = '2026-10-25 02:30:00';
        self::assertSame($first, Time::ms($text));
        self::assertSame($first, Time::ms($text, $first - 1));
        // Due since the first time, and still: until the clocks go back.
        self::assertSame($first + 60_000, Time::ms($text, $first + 60_000));
        self::assertSame($second, Time::ms($text, $back));
        self::assertSame($first, Time::pastMs($text, $second - 1000));
        self::assertSame($second, Time::pastMs($text, $second + 1000));
        self::assertSame($back, Time::pastMs('2026-10-25 02:00:00', $second));
    }

    public function testATimeThatTheClocksSkipIsReachedWhenTheyDo(): void
    {
        self::in('Europe/Berlin');
        $skip = self::moment('2026-03-29T01:00:00Z');
        self::assertSame(['01:59:59', '03:00:00'], [self::clock($skip - 1000), self::clock($skip)]);
        self::assertSame($skip, Time::ms('2026-03-29 02:30:00'));
        self::assertSame($skip, Time::pastMs('2026-03-29 02:30:00', $skip + 60_000));
        self::assertSame('2026-03-29 03:05:00', Time::due($skip + 300_000, $skip - 300_000));
        self::assertSame('2026-03-29 01:58:00', Time::before($skip - 120_000, $skip + 180_000));
    }

    /** Whatever the moment and the zone: what is written for later is reached then, not before. */
    public function testNothingFallsDueEarlyAroundAnyChange(): void
    {
        $changes = ['Europe/Berlin' => '2026-10-25T01:00:00Z', 'Australia/Lord_Howe' => '2026-04-04T15:00:00Z',
            'America/New_York' => '2026-03-08T07:00:00Z', 'America/Sao_Paulo' => '2018-02-18T02:00:00Z'];
        foreach ($changes as $zone => $change) {
            self::in($zone);
            $change = self::moment($change);
            for ($now = $change - 5_400_000; $now <= $change + 5_400_000; $now += 420_000) {
                foreach ([60_000, 600_000, 3_600_000, 7_200_000] as $wait) {
                    $text = Time::due($now + $wait, $now);
                    $reached = Time::ms($text, $now);
                    self::assertGreaterThanOrEqual($now + $wait, $reached, "{$zone} {$text}");
                    self::assertLessThanOrEqual($now + $wait + 3_600_000, $reached, "{$zone} {$text}");
                    $before = Time::before($now - $wait, $now);
                    for ($written = $now - $wait; $written <= $now; $written += 300_000) {
                        self::assertLessThanOrEqual(Time::text($written), $before, "{$zone} {$before}");
                    }
                }
            }
        }
    }

    public function testAnOffsetIsTakenAtItsWord(): void
    {
        self::in('America/Sao_Paulo');
        $texts = [
            '2026-03-10T14:30:00.000000Z' => '2026-03-10 11:30:00',
            '2026-03-10 16:30:00+02:00' => '2026-03-10 11:30:00',
            '2026-03-10T11:30:00-0300' => '2026-03-10 11:30:00',
            '2026-03-10T11:30:00' => '2026-03-10 11:30:00',
            '2026-03-10' => '2026-03-10',
        ];
        foreach ($texts as $text => $local) {
            self::assertSame($local, Time::column($text));
            $row = new stdClass();
            $row->__data = json_encode(['expiry_at' => $text]);
            self::assertTrue(Queue::hasExpired($row, '2026-03-10 11:30:00'));
            self::assertSame($text === '2026-03-10', Queue::hasExpired($row, '2026-03-10 11:29:59'));
        }
    }

    private static function in(string $zone): void
    {
        Time::useZone(static fn (): DateTimeZone => new DateTimeZone($zone));
    }

    private static function moment(string $iso): int
    {
        return strtotime($iso) * 1000;
    }

    private static function clock(int $ms): string
    {
        return substr(Time::text($ms), 11);
    }
}
