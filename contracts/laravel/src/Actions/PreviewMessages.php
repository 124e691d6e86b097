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

/** Shows rows as a claim would give them out: a campaign's, or what the crons of vendors in shadow have ended. */
final class PreviewMessages
{
    private const FIELDS = ['campaign_uid', 'ended_since', 'limit', 'after'];

    private const MAX_LIMIT = 1000;

    private const COLUMNS = 'SELECT queue._id, queue._uid, queue.phone_with_country_code, queue.retries, queue.status,'
        . ' queue.contacts__id, queue.campaigns__id, queue.scheduled_at, queue.updated_at, queue.__data'
        . ' FROM {queue} AS queue %s WHERE ';

    private const QUEUED = self::COLUMNS . 'queue.campaigns__id = ? AND queue.status = 1 AND queue._id > ?'
        . ' ORDER BY queue._id LIMIT ?';

    /** The vendor's mode stands for the second %s. */
    private const ENDED = self::COLUMNS . 'queue.status IN (2, 4, 5) AND queue.updated_at >= ?'
        . ' AND (queue.updated_at > ? OR queue._id > ?) AND EXISTS (SELECT 1 FROM {vendors} AS vendors'
        . " WHERE vendors._id = queue.vendors__id AND %s = 'shadow') ORDER BY queue.updated_at, queue._id LIMIT ?";

    private const CAMPAIGNS = 'SELECT campaigns._id, campaigns._uid, campaigns.template_name,'
        . ' campaigns.template_language, campaigns.__data, vendors._uid AS vendor_uid FROM {campaigns} AS campaigns'
        . ' JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id WHERE campaigns.';

    private const LOGS = 'SELECT logs.campaigns__id, logs.contacts__id, logs.wamid, logs.contact_wa_id,'
        . ' logs.wab_phone_number_id, logs.__data FROM {logs} AS logs WHERE logs.contacts__id IN (%s)'
        . ' AND logs.campaigns__id IN (%s) AND logs.is_incoming_message = 0 ORDER BY logs._id';

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
            'messages' => $this->described($page, [(int) $campaign->_id => $campaign], []),
            'next' => count($rows) > $limit ? (string) end($page)->_id : null,
        ];
    }

    /** @return array<string, mixed> */
    private function ended(int $sinceMs, int $limit, ?string $after): array
    {
        $place = [Time::before(max(0, $sinceMs), $this->clock->nowMs()), 0];
        if ($after !== null) {
            if (! preg_match('/\A(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|(\d{1,18})\z/', $after, $parts)) {
                throw self::noPlace();
            }
            $place = [$parts[1], (int) $parts[2]];
        }
        [$mode, $bindings] = $this->modes->sql('campaigns');
        $rows = $this->db->rowsByIndex(
            sprintf(self::ENDED, '%s', $mode),
            'sidecar_queue_stale',
            [$place[0], ...$place, ...$bindings, $limit + 1]
        );
        $page = array_slice($rows, 0, $limit);
        $last = count($rows) > $limit ? end($page) : null;
        $ids = array_values(array_unique(array_filter(array_column($page, 'campaigns__id'))));
        $campaigns = $ids === [] ? [] : $this->db->rows(
            self::CAMPAIGNS . '_id IN (' . Database::marks($ids) . ')',
            $ids
        );

        return [
            'messages' => $this->described($page, array_column($campaigns, null, '_id'), $this->logs($page, $ids)),
            'next' => $last === null ? null : "{$last->updated_at}|{$last->_id}",
        ];
    }

    private static function noPlace(): Refused
    {
        return Refused::invalid('after: must be next of the page before');
    }

    /**
     * @param list<stdClass> $rows
     * @param array<int, stdClass> $campaigns by `_id`
     * @param array<string, stdClass> $logs by campaign and contact
     *
     * @return list<array<string, mixed>> without rows of campaigns that are gone
     */
    private function described(array $rows, array $campaigns, array $logs): array
    {
        $nowMs = $this->clock->nowMs();
        $found = [];
        foreach ($this->byCampaign($rows, $campaigns) as $id => $mine) {
            $of = $campaigns[$id];
            $campaign = new Campaign($id, $of->_uid, $of->template_name, $of->template_language, $of->__data);
            foreach ($this->frozen->of($campaign, $mine) as $position => $one) {
                $row = $mine[$position];
                $isQueued = (int) $row->status === QueueStatus::QUEUED;
                $found[$one['id']] = [
                    'vendor_uid' => $of->vendor_uid,
                    'campaign_uid' => $campaign->uid,
                    'row' => self::withTemplate($one['row']),
                    'skipped' => $this->isTooOld($row, $nowMs) ? 'campaign_expired_error' : $one['error'],
                    'status' => (int) $row->status,
                    'due_at' => Time::ms($row->scheduled_at),
                    'ended_at' => $isQueued ? null : Time::pastMs($row->updated_at, $nowMs),
                    'error_status' => self::errorStatus($row),
                    'sent' => self::sent($logs["{$id} {$row->contacts__id}"] ?? null, (int) $row->status),
                ];
            }
        }
        $order = array_intersect_key(array_flip(array_column($rows, '_id')), $found);

        return array_values(array_replace($order, $found));
    }

    /**
     * @param list<stdClass> $rows
     * @param array<int, stdClass> $campaigns
     *
     * @return array<int, list<stdClass>>
     */
    private function byCampaign(array $rows, array $campaigns): array
    {
        $found = [];
        foreach ($rows as $row) {
            if (isset($campaigns[$row->campaigns__id ?? 0])) {
                $found[(int) $row->campaigns__id][] = $row;
            }
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
     * @param list<int> $campaigns their `_id`s
     *
     * @return array<string, stdClass> the last message to a contact, by campaign and contact
     */
    private function logs(array $rows, array $campaigns): array
    {
        $sent = array_filter($rows, static fn (stdClass $row): bool => (int) $row->status
            === QueueStatus::AWAITING_STATUS);
        $contacts = array_values(array_unique(array_filter(array_column($sent, 'contacts__id'))));
        if ($contacts === [] || $campaigns === []) {
            return [];
        }
        $logs = [];
        $sql = sprintf(self::LOGS, Database::marks($contacts), Database::marks($campaigns));
        foreach ($this->db->rows($sql, [...$contacts, ...$campaigns]) as $row) {
            $logs["{$row->campaigns__id} {$row->contacts__id}"] = $row;
        }

        return $logs;
    }

    /** @return array<string, mixed>|null the contract's SentByPhp */
    private static function sent(?stdClass $log, int $status): ?array
    {
        if ($log === null || $status !== QueueStatus::AWAITING_STATUS) {
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
