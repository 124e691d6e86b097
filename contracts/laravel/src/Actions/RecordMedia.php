<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use Illuminate\Contracts\Events\Dispatcher;
use stdClass;
use Throwable;
use WhatsappSidecar\Laravel\Events\MediaReported;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Media\MediaReport;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Outcome;

/** Keeps with each message what became of its media. */
final class RecordMedia
{
    private const MAX_REPORTS = 100;

    private const ROWS = 'SELECT _id, vendors__id, wamid, JSON_EXTRACT(__data, \'$.media\') AS media,'
        . ' JSON_EXTRACT(__data, \'$.sidecar.effects\') AS effects FROM {logs}'
        . ' WHERE vendors__id IN (%s) AND wamid IN (%s) ORDER BY _id FOR UPDATE';

    public function __construct(
        private Database $db,
        private Vendors $vendors,
        private Clock $clock,
        private Dispatcher $events
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $parts = Input::ofBody($body, ['media'])->parts('media', MediaReport::FIELDS, self::MAX_REPORTS);
        $reports = array_map([MediaReport::class, 'of'], $parts);

        return ['results' => array_map(
            static fn (MediaReport $report, Outcome $outcome): array => ['id' => $report->id] + $outcome->json(),
            $reports,
            $this->record($reports)
        )];
    }

    /**
     * Record all together; and if that fails, each by itself, so that one that cannot be written spoils
     * none of the others.
     *
     * @param list<MediaReport> $reports
     *
     * @return list<Outcome>
     */
    private function record(array $reports): array
    {
        try {
            return $this->together($reports);
        } catch (Throwable $error) {
            if (Conflict::is($error)) {
                throw $error;
            }
            report($error);
        }

        return array_map(function (MediaReport $report): Outcome {
            try {
                return $this->together([$report])[0];
            } catch (Throwable $error) {
                report($error);

                return Outcome::failed($error);
            }
        }, $reports);
    }

    /**
     * @param list<MediaReport> $reports
     *
     * @return list<Outcome>
     */
    private function together(array $reports): array
    {
        $vendors = $this->vendors->load(array_column($reports, 'vendorUid'));

        return $this->db->transaction(function () use ($reports, $vendors): array {
            $rows = $this->rows($reports, $vendors);
            $changes = $outcomes = [];
            foreach ($reports as $report) {
                $vendor = $vendors[$report->vendorUid] ?? null;
                $row = $vendor === null ? null : $rows["{$vendor->id} " . Wamid::stored($report->wamid)] ?? null;
                $patch = $row === null ? null : $report->patch($row->media, $row->effects);
                if ($row !== null && $patch !== null) {
                    $changes[(int) $row->_id] = ['id' => (int) $row->_id, 'patch' => $patch];
                }
                $outcomes[] = $vendor === null ? Outcome::ignored('vendor_unknown') : (
                    $row === null ? Outcome::ignored('message_unknown') : Outcome::done()
                );
            }
            $this->write(array_values($changes));
            $this->tell($reports, $vendors);

            return $outcomes;
        });
    }

    /**
     * @param list<MediaReport> $reports
     * @param array<string, Vendor> $vendors
     *
     * @return array<string, stdClass> by vendor and the wamid as the column holds it
     */
    private function rows(array $reports, array $vendors): array
    {
        $ids = array_map(static fn (Vendor $vendor): int => $vendor->id, array_values($vendors));
        $wamids = array_map([Wamid::class, 'stored'], array_column($reports, 'wamid'));
        $sql = sprintf(self::ROWS, Database::marks($ids), Database::marks($wamids));
        $rows = [];
        foreach ($this->db->rows($sql, [...$ids, ...$wamids]) as $row) {
            $row->media = Json::object($row->media);
            $row->effects = $row->effects === null ? null : Json::list($row->effects);
            $rows["{$row->vendors__id} {$row->wamid}"] ??= $row;
        }

        return $rows;
    }

    /** @param list<array<string, mixed>> $changes */
    private function write(array $changes): void
    {
        $this->db->changeEach(
            'logs',
            ['patch' => 'LONGTEXT'],
            "old.updated_at = ?, old.__data = JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch)",
            [Time::text($this->clock->nowMs())],
            $changes
        );
    }

    /**
     * @param list<MediaReport> $reports
     * @param array<string, Vendor> $vendors
     */
    private function tell(array $reports, array $vendors): void
    {
        foreach ($reports as $report) {
            if (isset($vendors[$report->vendorUid])) {
                $vendor = $vendors[$report->vendorUid];
                $this->events->dispatch(new MediaReported($vendor, $report->wamid, $report->media));
            }
        }
    }
}
