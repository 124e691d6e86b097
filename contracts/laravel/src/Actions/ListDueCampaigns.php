<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Results\CampaignErrors;
use WhatsappSidecar\Laravel\Store\Campaign;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\QueueStatus;
use WhatsappSidecar\Laravel\Store\WebhookBacklog;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Lists campaigns with rows to send, and how far they are. */
final class ListDueCampaigns
{
    private const FIELDS = ['campaign_uids', 'open', 'errors', 'limit', 'stale_after_s'];

    private const QUEUE_COUNTS = [
        QueueStatus::QUEUED => 'queued',
        QueueStatus::ERROR => 'error',
        QueueStatus::PROCESSING => 'processing',
        QueueStatus::AWAITING_STATUS => 'awaiting_status',
        QueueStatus::EXPIRED => 'expired',
        QueueStatus::UNKNOWN => 'unknown',
    ];

    /** Any other status counts as accepted: held messages, and statuses that are new to us. */
    private const LOG_COUNTS = [
        'sent' => 'sent',
        'delivered' => 'delivered',
        'read' => 'read',
        'played' => 'read',
        'failed' => 'failed',
    ];

    private const ZEROS = [
        'queued' => 0,
        'error' => 0,
        'processing' => 0,
        'awaiting_status' => 0,
        'expired' => 0,
        'unknown' => 0,
        'accepted' => 0,
        'sent' => 0,
        'delivered' => 0,
        'read' => 0,
        'failed' => 0,
    ];

    /** The vendor's mode stands for %s. */
    private const OURS = " %s = 'sidecar'";

    private const COLUMNS = 'campaigns._id, campaigns._uid, campaigns.title, campaigns.__data,'
        . ' vendors._uid AS vendor_uid, %s AS mode';

    private const JOINED = '{campaigns} AS campaigns JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id';

    public const INDEX = 'sidecar_queue_due';

    /**
     * Since when campaigns have queued rows. Written so that the index is read at one place for each campaign; with
     * status = 1, MariaDB reads all of the rows.
     */
    public const WAITING = 'SELECT campaigns__id, MIN(scheduled_at) AS due_at FROM {queue} %s'
        . ' WHERE status >= 1 AND status <= 1 GROUP BY status, campaigns__id';

    /** The longest-waiting first, so that a limit starves nobody. */
    private const DUE = 'SELECT ' . self::COLUMNS . ', waiting.due_at FROM (' . self::WAITING
        . ') AS waiting JOIN {campaigns} AS campaigns ON campaigns._id = waiting.campaigns__id'
        . ' JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id'
        . " WHERE waiting.due_at <= ? AND COALESCE(JSON_UNQUOTE(JSON_EXTRACT(campaigns.__data, '$.sidecar.state')),"
        . " 'running') NOT IN ('paused', 'cancelled') AND" . self::OURS
        . ' ORDER BY waiting.due_at, campaigns._id LIMIT ?';

    /** Of other vendors, those that are paused: their cron does not send them, and a person has to. */
    private const OPEN = 'SELECT ' . self::COLUMNS . ' FROM'
        . ' (SELECT DISTINCT campaigns__id FROM (SELECT DISTINCT status, campaigns__id FROM {queue} %s'
        . ' WHERE status IN (1, 3, 6)) AS statuses) AS waiting'
        . ' JOIN {campaigns} AS campaigns ON campaigns._id = waiting.campaigns__id'
        . ' JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id'
        . ' WHERE (' . self::OURS . " OR JSON_UNQUOTE(JSON_EXTRACT(campaigns.__data, '$.sidecar.state')) = 'paused')"
        . ' ORDER BY campaigns._id DESC LIMIT ?';

    private const STALE = 'UPDATE {queue} AS queue SET queue.status = 6, queue.updated_at = ?,'
        . " queue.__data = JSON_MERGE_PATCH(COALESCE(queue.__data, '{}'), ?)"
        . ' WHERE queue.status = 3 AND queue.updated_at < ? AND EXISTS'
        . ' (SELECT 1 FROM {vendors} AS vendors WHERE vendors._id = queue.vendors__id AND' . self::OURS . ')';

    public function __construct(
        private Database $db,
        private Clock $clock,
        private WebhookBacklog $backlog,
        private Modes $modes,
        private CampaignErrors $errors
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $uids = $input->texts('campaign_uids', PHP_INT_MAX);
        $open = $input->flag('open');
        $errors = $input->flag('errors') && $uids !== null;
        $limit = $input->integer('limit', 1, 1000, 100);
        $staleAfterS = $input->integer('stale_after_s', 1, PHP_INT_MAX, 300);
        $nowMs = $this->clock->nowMs();

        return [
            'made_unknown' => $this->settleStale($nowMs, $staleAfterS),
            'campaigns' => $this->described(match (true) {
                $uids !== null => $this->named($uids, $limit),
                $open => $this->withOpenRows($limit),
                default => $this->withDueRows($limit, Time::text($nowMs)),
            }, $nowMs, $errors),
            'pending_webhooks' => $uids === null && ! $open ? $this->backlog->count() : 0,
            'lists_pending_effects' => true,
        ];
    }

    /** A row that stands in 3 for too long may have been sent, so it is not sent again. */
    private function settleStale(int $nowMs, int $staleAfterS): int
    {
        $response = ['process_response' => [
            'error_message' => 'What became of the message is not known; its status will tell.',
            'error_status' => 'awaited_response_error',
        ]];
        $before = Time::before($nowMs - min($staleAfterS, intdiv($nowMs, 1000)) * 1000, $nowMs);

        [$mode, $bindings] = $this->modes->sql('campaigns');

        return $this->db->transaction(fn (): int => $this->db->change(
            sprintf(self::STALE, $mode),
            [Time::text($nowMs), Json::dump($response), $before, ...$bindings]
        ));
    }

    /** @return list<stdClass> */
    private function withDueRows(int $limit, string $now): array
    {
        [$mode, $bindings] = $this->modes->sql('campaigns');

        // The mode stands among the columns and in the condition.
        return $this->db->rowsByIndex(
            sprintf(self::DUE, $mode, '%s', $mode),
            self::INDEX,
            [...$bindings, $now, ...$bindings, $limit]
        );
    }

    /** @return list<stdClass> */
    private function withOpenRows(int $limit): array
    {
        [$mode, $bindings] = $this->modes->sql('campaigns');

        return $this->db->rowsByIndex(
            sprintf(self::OPEN, $mode, '%s', $mode),
            self::INDEX,
            [...$bindings, ...$bindings, $limit]
        );
    }

    /**
     * @param list<string> $uids
     *
     * @return list<stdClass>
     */
    private function named(array $uids, int $limit): array
    {
        [$mode, $bindings] = $this->modes->sql('campaigns');

        return $uids === [] ? [] : $this->db->rows(
            'SELECT ' . sprintf(self::COLUMNS, $mode) . ' FROM ' . self::JOINED . ' WHERE campaigns._uid IN ('
                . Database::marks($uids) . ') ORDER BY campaigns._id LIMIT ?',
            [...$bindings, ...$uids, $limit]
        );
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return list<array<string, mixed>>
     */
    private function described(array $rows, int $nowMs, bool $errors): array
    {
        if ($rows === []) {
            return [];
        }
        $now = Time::text($nowMs);
        $ids = array_column($rows, '_id');
        $marks = Database::marks($ids);
        $waiting = array_column($this->db->rows(
            'SELECT campaigns__id, SUM(scheduled_at <= ?) AS due,'
                . ' MIN(CASE WHEN scheduled_at > ? THEN scheduled_at END) AS next_due_at'
                . " FROM {queue} WHERE status = 1 AND campaigns__id IN ({$marks}) GROUP BY campaigns__id",
            [$now, $now, ...$ids]
        ), null, 'campaigns__id');
        $counts = $this->counts($ids, $marks);
        $failed = $errors ? $this->errors->of($ids) : [];

        return array_map(static fn (stdClass $row): array => [
            'campaign_uid' => $row->_uid,
            'vendor_uid' => $row->vendor_uid,
            'title' => $row->title,
            'state' => Campaign::stateOf($sidecar = Json::section(Json::object($row->__data), 'sidecar')),
            'reason' => Campaign::reasonOf($sidecar),
            'on_sidecar' => $row->mode === Modes::SIDECAR,
            'due' => (int) ($waiting[$row->_id]->due ?? 0),
            'next_due_at' => Time::ms($waiting[$row->_id]->next_due_at ?? null, $nowMs),
            'counts' => ($counts[$row->_id] ?? []) + self::ZEROS,
            'errors' => $failed[$row->_id] ?? null,
        ], $rows);
    }

    /**
     * @param list<int> $ids
     *
     * @return array<int, array<string, int>>
     */
    private function counts(array $ids, string $marks): array
    {
        $counts = [];
        $count = static function (stdClass $row, ?string $name) use (&$counts): void {
            if ($name !== null) {
                $counts[$row->campaigns__id][$name] = ($counts[$row->campaigns__id][$name] ?? 0) + (int) $row->found;
            }
        };
        foreach (
            $this->db->rows(
                "SELECT campaigns__id, status, COUNT(*) AS found FROM {queue} WHERE campaigns__id IN ({$marks})"
                . ' GROUP BY campaigns__id, status',
                $ids
            ) as $row
        ) {
            $count($row, self::QUEUE_COUNTS[(int) $row->status] ?? null);
        }
        foreach (
            $this->db->rows(
                "SELECT campaigns__id, status, COUNT(*) AS found FROM {logs} WHERE campaigns__id IN ({$marks})"
                . ' AND is_incoming_message = 0 GROUP BY campaigns__id, status',
                $ids
            ) as $row
        ) {
            $count($row, self::LOG_COUNTS[$row->status ?? ''] ?? 'accepted');
        }

        return $counts;
    }
}
