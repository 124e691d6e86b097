<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Recipient;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Lists rows of unknown outcome, oldest first, for a person to decide about. */
final class ListUnknownMessages
{
    private const FIELDS = ['vendor_uid', 'campaign_uid', 'older_than_s', 'limit', 'after'];

    private const MAX_ROWS = 1000;

    private const INDEX = 'sidecar_queue_stale';

    private const SELECT = 'SELECT queue._id, queue._uid, queue.updated_at, queue.phone_with_country_code,'
        . ' queue.__data, ' . Recipient::USER_ID_OF_CONTACT . ' AS user_id,'
        . ' vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid FROM {queue} AS queue %s'
        . ' STRAIGHT_JOIN {vendors} AS vendors ON vendors._id = queue.vendors__id'
        . ' LEFT JOIN {contacts} AS contacts ON contacts._id = queue.contacts__id'
        . ' LEFT JOIN {campaigns} AS campaigns ON campaigns._id = queue.campaigns__id'
        . ' WHERE queue.status = 6 AND queue.updated_at <= ?';

    public function __construct(private Database $db, private Clock $clock)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $limit = $input->integer('limit', 1, self::MAX_ROWS, 100);
        $nowMs = $this->clock->nowMs();
        $olderThanS = $input->integer('older_than_s', 0, PHP_INT_MAX, 86400);
        $conditions = '';
        $bindings = [Time::before($nowMs - min($olderThanS, intdiv($nowMs, 1000)) * 1000, $nowMs)];
        foreach (['vendor_uid' => 'vendors', 'campaign_uid' => 'campaigns'] as $field => $table) {
            $uid = $input->optionalText($field);
            if ($uid !== null) {
                $conditions .= " AND {$table}._uid = ?";
                $bindings[] = $uid;
            }
        }
        $after = $input->optionalText('after');
        if ($after !== null) {
            [$since, $id] = self::place($after);
            // Written so that the index finds the place; a comparison of pairs would read all before it.
            $conditions .= ' AND queue.updated_at >= ? AND (queue.updated_at > ? OR queue._id > ?)';
            array_push($bindings, $since, $since, $id);
        }
        $rows = $this->db->rowsByIndex(
            self::SELECT . "{$conditions} ORDER BY queue.updated_at, queue._id LIMIT ?",
            self::INDEX,
            [...$bindings, $limit + 1]
        );
        $page = array_slice($rows, 0, $limit);
        $last = count($rows) > $limit ? end($page) : null;

        return [
            'messages' => array_map([self::class, 'message'], $page),
            'next' => $last === null ? null : "{$last->updated_at}|{$last->_id}",
        ];
    }

    /** @return array{string, int} time and `_id` of the row that a page ended with */
    private static function place(string $after): array
    {
        if (! preg_match('/\A(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\|(\d{1,18})\z/', $after, $parts)) {
            throw Refused::invalid('after: must be next of the page before');
        }

        return [$parts[1], (int) $parts[2]];
    }

    /** @return array<string, mixed> */
    private static function message(stdClass $row): array
    {
        $data = Json::object($row->__data);
        $number = Json::section($data, 'campaign_data')->fromPhoneNumberId ?? null;
        $reason = Json::section($data, 'process_response')->error_message ?? null;

        return [
            'uid' => $row->_uid,
            'vendor_uid' => $row->vendor_uid,
            'campaign_uid' => $row->campaign_uid,
        ] + Recipient::of($row->phone_with_country_code, $row->user_id, $data) + [
            'since' => Time::ms($row->updated_at),
            'reason' => is_string($reason) ? $reason : null,
            'phone_number_id' => is_scalar($number) && $number ? (string) $number : null,
        ];
    }
}
