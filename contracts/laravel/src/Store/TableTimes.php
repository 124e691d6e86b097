<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use RuntimeException;
use stdClass;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;

/** Whether the times in the tables are of the zone that they are taken to be of. */
final class TableTimes
{
    /** Clocks of several machines may be as far apart. */
    private const MAX_AHEAD_S = 300;

    /** Those that the application writes to all the time. */
    private const TABLES = ['logs', 'queue', 'contacts', 'webhooks'];

    private const NEWEST = '(SELECT created_at FROM {%s} ORDER BY _id DESC LIMIT 1)';

    public function __construct(private Database $db, private Clock $clock)
    {
    }

    /** Return the zone's name. Throws if the newest rows show that the application writes another. */
    public function check(): string
    {
        $zone = Time::zone()->getName();
        $aheadS = $this->aheadS();
        if ($aheadS > self::MAX_AHEAD_S) {
            throw new RuntimeException(
                'the newest row was created ' . intdiv($aheadS, 60) . " minutes from now, if its time is {$zone}: the"
                . ' application stores times of another zone; set WHATSAPP_SIDECAR_TIMEZONE to that (UTC, for one)'
            );
        }

        return "{$zone} (" . (config('whatsapp-sidecar.timezone') ? 'WHATSAPP_SIDECAR_TIMEZONE' : 'app.timezone') . ')';
    }

    /** Return how many seconds the newest rows are ahead of the clock; 0 if they are not. */
    public function aheadS(): int
    {
        $queries = array_map(static fn (string $table): string => sprintf(self::NEWEST, $table), self::TABLES);
        $now = $this->clock->nowMs();
        $ahead = array_map(
            static fn (stdClass $row): int => (Time::ms($row->created_at) ?? 0) - $now,
            $this->db->rows(implode(' UNION ALL ', $queries))
        );

        return intdiv(max([0, ...$ahead]), 1000);
    }
}
