<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Statuses;

use stdClass;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * The rows of log and queue that statuses are about, read together and locked. What needs no lock is read after
 * them: what a transaction has read before it waits for a lock may have changed by then.
 */
final class StatusRows
{
    private const LOGS = 'SELECT _id, vendors__id, campaigns__id, contacts__id, status, wamid, messaged_at,'
        . " JSON_EXTRACT(__data, '$.sidecar') AS sidecar,"
        . " JSON_CONTAINS_PATH(COALESCE(__data, '{}'), 'one', '$.error') AS has_error"
        . ' FROM {logs} %s WHERE vendors__id IN (%s) AND wamid IN (%s) ORDER BY _id FOR UPDATE';

    /** Vendors in one statement: their number times that of their wamids is what the optimizer weighs. */
    private const VENDORS = 100;

    /** Of one vendor. What compares both indexes for a thousand wamids takes longer than reading the rows. */
    private const INDEX = 'sidecar_logs_wamid';

    /**
     * The cron's own log rows do not name their row of the queue. Each contact's rows are found by themselves. The
     * sums keep the optimizer from reading all rows of the campaign instead, once or for each contact. (MySQL refuses
     * to lock what is joined with a JSON_TABLE: error 3569.)
     */
    private const OF_CONTACTS = 'SELECT ' . QueueRow::COLUMNS . ' FROM {queue}'
        . ' WHERE contacts__id IN (%s) AND campaigns__id + 0 IN (%s) AND status + 0 IN (3, 4, 6) FOR UPDATE';

    /** Messages that belong to no campaign are named by their own uid, and may have no wamid yet. */
    private const MESSAGES = 'SELECT _id, _uid, vendors__id, messaged_at,'
        . " JSON_CONTAINS_PATH(COALESCE(__data, '{}'), 'one', '$.error') AS has_error"
        . ' FROM {logs} WHERE _uid IN (%s) AND vendors__id IN (%s) AND is_incoming_message = 0 AND wamid IS NULL'
        . ' ORDER BY _uid FOR UPDATE';

    /** @var array<string, QueueRow> */
    private array $rows;

    /** @var array<string, stdClass> rows of the log without a wamid, by vendor and uid */
    private array $messages = [];

    /** @var array<int, string> by `_id` */
    private array $campaignUids = [];

    /** @var array<string, true> uids of the queue that have been looked up */
    private array $lookedUp = [];

    /** @var array<string, LogState> */
    public array $logs = [];

    /** @var array<string, list<QueueRow>> rows of the cron's sends, by vendor, campaign and contact */
    private array $ofContacts = [];

    /** @param array<int, array{Vendor, Update}> $statuses */
    public function __construct(private Database $db, private Queue $queue, array $statuses)
    {
        $uids = $wamids = $vendorIds = [];
        foreach ($statuses as [$vendor, $update]) {
            $uid = self::callbackUid($update);
            if ($uid !== null) {
                $uids[$uid] = true;
            }
            if ($update->part->wamid() !== null) {
                $wamids[$vendor->id][$update->part->wamid()] = true;
            }
            $vendorIds[$vendor->id] = true;
        }
        $this->lookedUp = $uids;
        $this->rows = $this->queue->lock(array_map('strval', array_keys($uids)));
        ksort($wamids);
        foreach (array_chunk($wamids, self::VENDORS, true) as $some) {
            $this->readLogs(array_keys($some), array_map('strval', array_keys(array_replace(...$some))));
        }
        $this->readRowsOfLogs();
        $this->readMessages(array_keys($vendorIds), $statuses);
        $this->readCampaigns();
    }

    /** Read the uids of the campaigns that any of the rows belongs to. */
    private function readCampaigns(): void
    {
        $ids = [];
        foreach ([...array_values($this->rows), ...array_values($this->logs)] as $row) {
            $ids[$row->campaignId ?? 0] = true;
        }
        unset($ids[0]);
        if ($ids !== []) {
            $sql = 'SELECT _id, _uid FROM {campaigns} WHERE _id IN (' . Database::marks($ids) . ')';
            $this->campaignUids = array_column($this->db->rows($sql, array_keys($ids)), '_uid', '_id');
        }
    }

    public function campaignUid(LogState $log): ?string
    {
        return $this->campaignUids[$log->campaignId ?? 0] ?? null;
    }

    /**
     * Read the messages that statuses of wamids name that are not in the log.
     *
     * @param list<int> $vendorIds
     * @param array<int, array{Vendor, Update}> $statuses
     */
    private function readMessages(array $vendorIds, array $statuses): void
    {
        $uids = [];
        foreach ($statuses as [$vendor, $update]) {
            $uid = self::callbackUid($update);
            $known = isset($this->rows[$uid ?? '']) || isset($this->logs["{$vendor->id} {$update->part->wamid()}"]);
            if ($uid !== null && ! $known) {
                $uids[] = $uid;
            }
        }
        if ($uids !== []) {
            $sql = sprintf(self::MESSAGES, Database::marks($uids), Database::marks($vendorIds));
            foreach ($this->db->rows($sql, [...$uids, ...$vendorIds]) as $row) {
                $this->messages["{$row->vendors__id} {$row->_uid}"] = $row;
            }
        }
    }

    /** Give the message that the callback data names its wamid, if it has none yet. */
    public function settle(Vendor $vendor, Update $update): ?LogState
    {
        $key = "{$vendor->id} " . self::callbackUid($update);
        $row = $this->messages[$key] ?? null;
        unset($this->messages[$key]);

        return $row === null ? null : LogState::ofMessage($row, (string) $update->part->wholeWamid());
    }

    /**
     * @param list<int> $vendorIds
     * @param list<string> $wamids
     */
    private function readLogs(array $vendorIds, array $wamids): void
    {
        $sql = sprintf(self::LOGS, '%s', Database::marks($vendorIds), Database::marks($wamids));
        $bindings = [...$vendorIds, ...$wamids];
        $rows = count($vendorIds) === 1
            ? $this->db->rowsByIndex($sql, self::INDEX, $bindings)
            : $this->db->rows(sprintf($sql, ''), $bindings);
        foreach ($rows as $row) {
            $this->logs["{$row->vendors__id} {$row->wamid}"] ??= LogState::ofRow($row);
        }
    }

    /** Read the rows of the queue that only log rows lead to. */
    private function readRowsOfLogs(): void
    {
        $uids = $contactIds = $campaignIds = [];
        foreach ($this->logs as $log) {
            if ($log->campaignId === null) {
                continue;
            }
            if ($log->queueRowUid !== null && ! isset($this->lookedUp[$log->queueRowUid])) {
                $uids[$log->queueRowUid] = true;
            } elseif ($log->queueRowUid === null && $log->contactId !== null) {
                $contactIds[$log->contactId] = true;
                $campaignIds[$log->campaignId] = true;
            }
        }
        $this->lookedUp += $uids;
        $this->rows += $this->queue->lock(array_map('strval', array_keys($uids)));
        if ($contactIds !== []) {
            ksort($contactIds);
            $sql = sprintf(self::OF_CONTACTS, Database::marks($contactIds), Database::marks($campaignIds));
            foreach ($this->db->rows($sql, [...array_keys($contactIds), ...array_keys($campaignIds)]) as $found) {
                $row = new QueueRow($found);
                $this->ofContacts[self::contactKey($row->vendorId, $row->campaignId, $row->contactId)][] = $row;
            }
        }
    }

    private static function contactKey(int $vendorId, ?int $campaignId, ?int $contactId): string
    {
        return "{$vendorId} {$campaignId} {$contactId}";
    }

    private static function callbackUid(Update $update): ?string
    {
        foreach ($update->statuses() as $status) {
            $uid = Envelope::text($status->biz_opaque_callback_data ?? null);
            if ($uid !== null) {
                return $uid;
            }
        }

        return null;
    }

    /** Return the row of the queue that the callback data names, if it is still there. */
    public function named(Vendor $vendor, Update $update): ?QueueRow
    {
        $row = $this->rows[self::callbackUid($update) ?? ''] ?? null;

        return $row === null || $row->gone || $row->vendorId !== $vendor->id ? null : $row;
    }

    /**
     * Return the rows of the queue that are still there for a row of the log. Of the cron's log rows,
     * the contact's rows that have been sent are meant.
     *
     * @return list<QueueRow>
     */
    public function rowsOf(Vendor $vendor, LogState $log): array
    {
        $rows = $log->queueRowUid !== null
            ? array_filter([$this->rows[$log->queueRowUid] ?? null])
            : $this->ofContacts[self::contactKey($vendor->id, $log->campaignId, $log->contactId)] ?? [];

        return array_values(array_filter($rows, static fn (QueueRow $row): bool => ! $row->gone));
    }
}
