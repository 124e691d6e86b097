<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Campaign;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\FrozenRows;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\QueueStatus;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * Shows rows as a claim would give them out: a campaign's, or what the crons of vendors in shadow have ended.
 *
 * Of what has ended it looks at as many rows as asked for, whoever's they are: of hundreds of vendors one may be in
 * shadow.
 */
final class PreviewMessages
{
    private const FIELDS = ['campaign_uid', 'ended_since', 'limit', 'after'];

    private const MAX_LIMIT = 1000;

    private const OVER = [QueueStatus::ERROR, QueueStatus::AWAITING_STATUS, QueueStatus::EXPIRED];

    private const COLUMNS = 'SELECT queue._id, queue._uid, queue.phone_with_country_code, queue.retries, queue.status,'
        . ' queue.contacts__id, queue.campaigns__id, queue.scheduled_at, queue.updated_at, queue.__data';

    private const QUEUED = self::COLUMNS . ' FROM {queue} AS queue %s WHERE queue.campaigns__id = ?'
        . ' AND queue.status = 1 AND queue._id > ? ORDER BY queue._id LIMIT ?';

    /**
     * What has ended after a place, of one status: first what is left of the same second. Each part reads no more of
     * the index than it returns; what they have in common would be read from the first row of that second on.
     */
    private const PARTS = '(' . self::PLACES . ' AND updated_at = ? AND _id > ? ORDER BY _id LIMIT ?) UNION ALL ('
        . self::PLACES . ' AND updated_at > ? ORDER BY updated_at, _id LIMIT ?)';

    private const PLACES = 'SELECT _id, updated_at, vendors__id FROM {queue} %1$s WHERE status = ?';

    private const LOOK = 'SELECT _id, updated_at, vendors__id FROM (%s) AS found ORDER BY updated_at, _id LIMIT ?';

    /** The vendor's mode stands for the second %s. */
    private const IN_SHADOW = 'SELECT vendors._id FROM {vendors} AS vendors WHERE vendors._id IN (%s)'
        . " AND %s = 'shadow'";

    /** With the last message to the row's contact, read from its end in the index (see ObserveMessages). */
    private const ENDED = self::COLUMNS . ', CASE WHEN queue.status = 4 THEN (SELECT last._id FROM {logs} AS last'
        . ' WHERE last.contacts__id = queue.contacts__id AND last.campaigns__id + 0 = queue.campaigns__id'
        . ' AND last.is_incoming_message = 0 ORDER BY last.contacts__id DESC, last._id DESC LIMIT 1) END AS log'
        . ' FROM {queue} AS queue WHERE queue._id IN (%s) AND queue.status + 0 IN (2, 4, 5)';

    private const CAMPAIGNS = 'SELECT campaigns._id, campaigns._uid, campaigns.template_name,'
        . ' campaigns.template_language, campaigns.__data, campaigns.vendors__id, vendors._uid AS vendor_uid'
        . ' FROM {campaigns} AS campaigns JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id'
        . ' WHERE campaigns.';

    private const LOGS = 'SELECT _id, wamid, contact_wa_id, wab_phone_number_id, __data FROM {logs} WHERE _id IN (%s)';

    public function __construct(
        private Database $db,
        private FrozenRows $frozen,
        private Modes $modes,
        private Clock $clock
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $uid = $input->optionalText('campaign_uid');
        $since = $input->optionalInteger('ended_since');
        $limit = $input->integer('limit', 1, self::MAX_LIMIT, 100);
        $after = $input->optionalText('after', 100);
        if (($uid === null) === ($since === null)) {
            throw Refused::invalid('campaign_uid, ended_since: one of them is needed');
        }

        return $uid === null ? $this->ended((int) $since, $limit, $after) : $this->queued($uid, $limit, $after);
    }

    /** @return array<string, mixed> */
    private function queued(string $uid, int $limit, ?string $after): array
    {
        $campaign = $this->db->row(self::CAMPAIGNS . '_uid = ?', [$uid]);
        if ($campaign === null || $campaign->_uid !== $uid) {
            throw new Refused('campaign_unknown', "there is no campaign '{$uid}'", 404);
        }
        if ($after !== null && ! preg_match('/\A\d{1,18}\z/', $after)) {
            throw self::noPlace();
        }
        $bindings = [$campaign->_id, (int) ($after ?? 0), $limit + 1];
        $rows = $this->db->rowsByIndex(self::QUEUED, 'sidecar_queue_claim', $bindings);
        $page = array_slice($rows, 0, $limit);

        return [
            'messages' => $this->described($page, [$campaign]),
            'next' => count($rows) > $limit ? (string) end($page)->_id : null,
        ];
    }

    /** @return array<string, mixed> */
    private function ended(int $sinceMs, int $limit, ?string $after): array
    {
        $nowMs = $this->clock->nowMs();
        [$time, $id] = [Time::before(max(0, $sinceMs), $nowMs), 0];
        if ($after !== null) {
            if (! preg_match('/\A(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|(\d{1,18})\z/', $after, $parts)) {
                throw self::noPlace();
            }
            [$time, $id] = [$parts[1], (int) $parts[2]];
        }
        $found = $this->look($time, $id, $limit + 1);
        $page = array_slice($found, 0, $limit);
        $last = end($page);
        $rows = $this->rowsInShadow($page);
        $ids = self::named($rows, 'campaigns__id');
        $campaigns = $ids === [] ? [] : $this->db->rows(
            self::CAMPAIGNS . '_id IN (' . Database::marks($ids) . ')',
            $ids
        );

        return [
            'messages' => $this->described($rows, $campaigns),
            'next' => count($found) > $limit ? "{$last->updated_at}|{$last->_id}" : null,
            'looked_until' => $last === false ? null : min((int) Time::pastMs($last->updated_at, $nowMs), $nowMs),
        ];
    }

    /** @return list<stdClass> the first rows that have ended after a place, whoever's they are */
    private function look(string $time, int $id, int $most): array
    {
        $bindings = [];
        foreach (self::OVER as $status) {
            array_push($bindings, $status, $time, $id, $most, $status, $time, $most);
        }
        $parts = implode(' UNION ALL ', array_fill(0, count(self::OVER), self::PARTS));

        return $this->db->rowsByIndex(sprintf(self::LOOK, $parts), 'sidecar_queue_stale', [...$bindings, $most]);
    }

    /**
     * @param list<stdClass> $found rows that have ended
     *
     * @return list<stdClass> those of vendors in shadow that nobody has changed since, whole, in their order
     */
    private function rowsInShadow(array $found): array
    {
        $vendors = self::named($found, 'vendors__id');
        if ($vendors === []) {
            return [];
        }
        [$mode, $bindings] = $this->modes->sql('campaigns');
        $sql = sprintf(self::IN_SHADOW, Database::marks($vendors), $mode);
        $inShadow = array_column($this->db->rows($sql, [...$vendors, ...$bindings]), '_id', '_id');
        $isInShadow = static fn (stdClass $row): bool => isset($inShadow[$row->vendors__id ?? 0]);
        $ids = array_column(array_filter($found, $isInShadow), '_id');
        if ($ids === []) {
            return [];
        }
        $rows = array_column($this->db->rows(sprintf(self::ENDED, Database::marks($ids)), $ids), null, '_id');

        return array_values(array_intersect_key(array_replace(array_flip($ids), $rows), $rows));
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return list<int> the ids in a column
     */
    private static function named(array $rows, string $column): array
    {
        return array_values(array_unique(array_filter(array_column($rows, $column))));
    }

    private static function noPlace(): Refused
    {
        return Refused::invalid('after: must be next of the page before');
    }

    /**
     * @param list<stdClass> $rows
     * @param list<stdClass> $campaigns theirs
     *
     * @return list<array<string, mixed>> without rows of campaigns that are gone
     */
    private function described(array $rows, array $campaigns): array
    {
        $nowMs = $this->clock->nowMs();
        $vendorUids = array_column($campaigns, 'vendor_uid', '_id');
        $campaigns = array_map([Campaign::class, 'ofRow'], array_column($campaigns, null, '_id'));
        $isThere = static fn (stdClass $row): bool => isset($campaigns[$row->campaigns__id ?? 0]);
        $rows = array_values(array_filter($rows, $isThere));
        $logs = $this->logs($rows);
        $found = [];
        foreach ($this->frozen->of($campaigns, $rows) as $position => $one) {
            $row = $rows[$position];
            $isQueued = (int) $row->status === QueueStatus::QUEUED;
            $found[] = [
                'vendor_uid' => $vendorUids[$row->campaigns__id],
                'campaign_uid' => $campaigns[$row->campaigns__id]->uid,
                'row' => self::withTemplate($one['row']),
                'skipped' => $this->isTooOld($row, $nowMs) ? 'campaign_expired_error' : $one['error'],
                'status' => (int) $row->status,
                'due_at' => Time::ms($row->scheduled_at),
                'ended_at' => $isQueued ? null : Time::pastMs($row->updated_at, $nowMs),
                'error_status' => self::errorStatus($row),
                'sent' => self::sent($logs[$row->log ?? 0] ?? null),
            ];
        }

        return $found;
    }

    /** Of a row that is over: whether it was too old when it ended. */
    private function isTooOld(stdClass $row, int $nowMs): bool
    {
        $at = (int) $row->status === QueueStatus::QUEUED ? Time::text($nowMs) : $row->updated_at;

        return Queue::hasExpired($row, $at);
    }

    /**
     * @param array<string, mixed> $row
     *
     * @return array<string, mixed>
     */
    private static function withTemplate(array $row): array
    {
        return [
            'template_name' => $row['template_name'] ?? '',
            'template_language' => $row['template_language'] ?? '',
        ] + $row;
    }

    private static function errorStatus(stdClass $row): ?string
    {
        $status = Json::section(Json::object($row->__data), 'process_response')->error_status ?? null;

        return is_scalar($status) ? (string) $status : null;
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return array<int, stdClass> by `_id`
     */
    private function logs(array $rows): array
    {
        $ids = self::named($rows, 'log');
        if ($ids === []) {
            return [];
        }

        return array_column($this->db->rows(sprintf(self::LOGS, Database::marks($ids)), $ids), null, '_id');
    }

    /** @return array<string, mixed>|null the contract's SentByPhp */
    private static function sent(?stdClass $log): ?array
    {
        if ($log === null) {
            return null;
        }
        $data = Json::object($log->__data);
        $template = Json::section($data, 'template_proforma');
        $contacts = Json::section($data, 'initial_response')->contacts ?? null;
        $input = is_array($contacts) && is_object($contacts[0] ?? null) ? $contacts[0]->input ?? null : null;
        $components = $data->template_component_values ?? null;

        return [
            'wamid' => $log->wamid,
            'phone_number_id' => $log->wab_phone_number_id,
            'to' => is_string($input) ? $input : $log->contact_wa_id,
            'template_name' => is_string($template->name ?? null) ? $template->name : null,
            'template_language' => is_string($template->language ?? null) ? $template->language : null,
            'components' => is_array($components) ? $components : null,
        ];
    }
}
