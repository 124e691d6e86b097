<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Statuses;

use stdClass;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\LogRow;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Store\QueueStatus;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Statuses that are applied together, in one transaction. A message's status only moves up, whatever
 * order they come in.
 *
 * A status finds its log row by vendor and wamid. Where there is none, it is earlier than the result of
 * its send, or that result was lost: then the callback data names the row of the queue, and the log row
 * is made from that; or it names the log row itself, of a message that belongs to no campaign, which gets
 * its wamid so. A row of the queue goes when a status has come for it.
 *
 * Rows of the queue are locked before those of the log, here as in ResultBatch, so that a result and an
 * early status of one send take turns.
 */
final class StatusBatch
{
    /** "Not delivered, to keep the ecosystem healthy": may be tried again, hours later. */
    private const HEALTHY_ERROR = 131049;

    private const HOUR_MS = 3600000;

    /** Rows whose send may have gone out; a failed status about any other says what is known already. */
    private const IN_FLIGHT = [QueueStatus::PROCESSING, QueueStatus::AWAITING_STATUS, QueueStatus::UNKNOWN];

    private const COLUMNS = ['status' => 'VARCHAR(64)', 'messaged_at' => 'DATETIME'];

    private const CHANGE = 'old.status = new.status, old.messaged_at = new.messaged_at, old.updated_at = ?';

    private const PATCH_COLUMNS = self::COLUMNS + ['wamid' => 'VARCHAR(255)', 'patch' => 'LONGTEXT'];

    private const PATCH = ', old.wamid = COALESCE(new.wamid, old.wamid), old.__data = IF(new.patch IS NULL, old.__data,'
        . " JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch))";

    /** @var array<string, array{QueueRow, string, ?string}> log rows to be stored, with whole wamid and number */
    private array $early = [];

    /** @var array<int, array<string, mixed>> */
    private array $requeued = [];

    /** @var array<int, true> */
    private array $goneIds = [];

    /** @var array<int, true> */
    private array $goneLogs = [];

    private StatusRows $found;

    private string $now;

    /** @param array<int, array{Vendor, Update}> $statuses */
    public function __construct(
        private Database $db,
        private Queue $queue,
        private StatusGrace $grace,
        private int $nowMs,
        private array $statuses
    ) {
        $this->now = Time::text($nowMs);
        $this->found = new StatusRows($db, $queue, $statuses);
    }

    /** @return array<int, Outcome> */
    public function apply(): array
    {
        $outcomes = [];
        foreach ($this->statuses as $position => [$vendor, $update]) {
            $outcomes[$position] = $this->decide($vendor, $update);
        }
        $this->write();

        return $outcomes;
    }

    private function decide(Vendor $vendor, Update $update): Outcome
    {
        $wamid = $update->part->wamid();
        $statuses = $update->statuses();
        if ($wamid === null) {
            return Outcome::ignored('status_without_id');
        }
        if ($statuses === []) {
            return Outcome::ignored('status_without_status');
        }
        $key = "{$vendor->id} {$wamid}";
        if (! isset($this->found->logs[$key])) {
            $row = $this->found->named($vendor, $update);
            if ($row !== null && $row->remembers(QueueRow::SUPERSEDED, $wamid)) {
                return Outcome::done();
            }
            $message = $row === null ? $this->found->settle($vendor, $update) : null;
            if ($message === null && ($row === null || ! self::settles($row, $statuses))) {
                return $this->grace->unknown($update, $this->nowMs);
            }
            $this->found->logs[$key] = $message ?? LogState::early($row);
            if ($message === null) {
                $this->early[$key] = [$row, (string) $update->part->wholeWamid(), $update->part->phoneNumberId()];
            }
        }

        return Outcome::done([], $this->change($vendor, $key, $wamid, $statuses));
    }

    /**
     * Tell whether the statuses prove that the row was sent.
     *
     * @param list<stdClass> $statuses
     */
    private static function settles(QueueRow $row, array $statuses): bool
    {
        foreach ($statuses as $status) {
            if ($status->status !== 'failed') {
                return true;
            }
        }

        return in_array($row->status, self::IN_FLIGHT, true);
    }

    /**
     * @param list<stdClass> $statuses
     *
     * @return ?string the campaign's uid, if the message's status is another one now
     */
    private function change(Vendor $vendor, string $key, string $wamid, array $statuses): ?string
    {
        $log = $this->found->logs[$key];
        $before = $log->status;
        $error = $log->take($statuses, $this->now);
        $rows = $this->found->rowsOf($vendor, $log);
        if ($error !== null && $this->sendAgain($vendor, $error, $rows[0] ?? null, $wamid)) {
            if ($log->id !== null) {
                $this->goneLogs[$log->id] = true;
            }
            unset($this->found->logs[$key], $this->early[$key]);

            return $this->found->campaignUid($log);
        }
        if ($log->campaignId !== null) {
            foreach ($rows as $row) {
                $row->gone = true;
                $this->goneIds[$row->id] = true;
                unset($this->requeued[$row->id]);
            }
        }

        return $log->status === $before ? null : $this->found->campaignUid($log);
    }

    /**
     * Give the row of the queue back, hours later, if the error and the vendor allow it.
     *
     * @param array<string, mixed> $error
     */
    private function sendAgain(Vendor $vendor, array $error, ?QueueRow $row, string $wamid): bool
    {
        if ($error['code'] !== self::HEALTHY_ERROR || ! $vendor->requeuesHealthyError()) {
            return false;
        }
        if ($row === null || $row->retries >= QueueStatus::MAX_RETRIES) {
            return false;
        }
        $row->remember(QueueRow::SUPERSEDED, $wamid);
        $row->countRetry();
        $row->status = QueueStatus::QUEUED;
        $text = $error['message'] ?: $error['title'];
        $this->requeued[$row->id] = [
            'id' => $row->id,
            'status' => QueueStatus::QUEUED,
            'retries' => $row->retries,
            'scheduled_at' => Time::due($this->nowMs + $row->retries * self::HOUR_MS, $this->nowMs),
            'patch' => $row->patch([
                'error_message' => is_string($text) ? $text : '',
                'error_status' => (string) self::HEALTHY_ERROR,
            ]),
        ];

        return true;
    }

    private function write(): void
    {
        $this->storeEarly();
        $this->changeLogs();
        $this->queue->settle(array_values($this->requeued), $this->now);
        $this->delete('logs', array_keys($this->goneLogs));
        $this->delete('queue', array_keys($this->goneIds));
    }

    private function storeEarly(): void
    {
        $rows = [];
        foreach ($this->early as $key => [$row, $wamid, $number]) {
            $log = $this->found->logs[$key];
            $rows[] = LogRow::of(
                $row,
                $wamid,
                (string) $log->status,
                null,
                $number,
                null,
                $this->now,
                $log->messagedAt,
                $log->error === null ? [] : ['error' => $log->error],
                $log->times()
            );
        }
        $this->db->insertMissing('logs', $rows);
    }

    /** Where nothing changes in `__data`, it is not written: that takes longer than all the rest. */
    private function changeLogs(): void
    {
        $changed = $patched = [];
        foreach ($this->found->logs as $log) {
            if ($log->id !== null && $log->changed) {
                $row = ['id' => $log->id, 'status' => $log->status, 'messaged_at' => $log->messagedAt];
                $patch = $log->patch();
                if ($patch === null && $log->wamid === null) {
                    $changed[] = $row;
                } else {
                    $patched[] = $row + ['wamid' => $log->wamid, 'patch' => $patch];
                }
            }
        }
        $this->db->changeEach('logs', self::COLUMNS, self::CHANGE, [$this->now], $changed);
        $this->db->changeEach('logs', self::PATCH_COLUMNS, self::CHANGE . self::PATCH, [$this->now], $patched);
    }

    /** @param list<int> $ids */
    private function delete(string $table, array $ids): void
    {
        if ($ids !== []) {
            $this->db->change("DELETE FROM {{$table}} WHERE _id IN (" . Database::marks($ids) . ')', $ids);
        }
    }
}
