<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Bots;

use DateTimeImmutable;
use DateTimeZone;

/** When a vendor's bots answer. */
final class BotHours
{
    /** @var array<string, true> what has been logged */
    private static array $logged = [];

    /**
     * Tell which bots do not answer at $at: the trigger types, true for all, false for none. Hours
     * whose times or time zone are wrong are logged once and ignored.
     *
     * @param array<string, mixed>|null $hours start, end (HH:MM), timezone, trigger_types or null
     * @param int $at unix seconds
     * @return bool|list<string>
     */
    public static function closed(?array $hours, int $at): bool|array
    {
        if ($hours === null) {
            return false;
        }
        $zone = $hours['timezone'] ?? 'UTC';
        foreach ([$hours['start'], $hours['end']] as $time) {
            if (! preg_match('/^([01][0-9]|2[0-3]):[0-5][0-9]$/D', $time)) {
                return self::ignored("the time '$time' is not HH:MM");
            }
        }
        if (! in_array($zone, DateTimeZone::listIdentifiers(DateTimeZone::ALL_WITH_BC), true)) {
            return self::ignored("the time zone '$zone' is not known");
        }
        $now = (new DateTimeImmutable('@' . $at))->setTimezone(new DateTimeZone($zone))->format('H:i');
        [$afterStart, $beforeEnd] = [$now >= $hours['start'], $now < $hours['end']];
        $open = $hours['start'] < $hours['end'] ? $afterStart && $beforeEnd : $afterStart || $beforeEnd;

        return $open ? false : ($hours['trigger_types'] ?? true);
    }

    private static function ignored(string $why): bool
    {
        if (! isset(self::$logged[$why])) {
            self::$logged[$why] = true;
            error_log("WhatsApp sidecar: bot hours are ignored: $why; correct them in the vendor's settings");
        }

        return false;
    }
}
