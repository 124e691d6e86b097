<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Reports what the tables say of messages. */
final class ObserveMessages
{
    private const MAX_MESSAGES = 1000;

    private const DAY_MS = 86_400_000;

    /**
     * With the last message that the contact has sent before, of an incoming one. In the order of contact and `_id` it
     * is read from its end in the index; by `_id` alone, MySQL sorts all that the contact has ever sent.
     */
    private const LOGS = 'SELECT vendors._uid AS vendor_uid, logs.wamid, logs.is_incoming_message, logs.status,'
        . ' logs.created_at, logs.contacts__id, logs.campaigns__id, contacts.disable_reply_bot,'
        . " JSON_EXTRACT(logs.__data, '$.sidecar.bots') AS bots,"
        . ' (SELECT campaigns._uid FROM {campaigns} AS campaigns WHERE campaigns._id = logs.campaigns__id)'
        . ' AS campaign_uid,'
        . ' CASE WHEN logs.is_incoming_message = 1 THEN (SELECT earlier.created_at FROM {logs} AS earlier'
        . ' WHERE earlier.contacts__id = logs.contacts__id AND earlier.is_incoming_message = 1'
        . ' AND earlier._id < logs._id ORDER BY earlier.contacts__id DESC, earlier._id DESC LIMIT 1) END'
        . ' AS wrote_before'
        . ' FROM {logs} AS logs JOIN {vendors} AS vendors ON vendors._id = logs.vendors__id'
        . ' LEFT JOIN {contacts} AS contacts ON contacts._id = logs.contacts__id'
        . ' WHERE logs.wamid IN (%s) AND vendors._uid IN (%s)';

    private const QUEUE = 'SELECT campaigns__id, contacts__id, status FROM {queue} WHERE contacts__id IN (%s)'
        . ' AND campaigns__id IN (%s) ORDER BY _id';

    public function __construct(private Database $db)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $messages = array_map(
            static fn (Input $message): array => [$message->text('vendor_uid'), $message->text('wamid')],
            Input::ofBody($body, ['messages'])->parts('messages', ['vendor_uid', 'wamid'], self::MAX_MESSAGES)
        );
        $logs = $this->logs(
            array_column($messages, 0),
            array_map([Wamid::class, 'stored'], array_column($messages, 1))
        );
        $queue = $this->queue($logs);

        return ['messages' => array_map(static fn (array $message): array => [
            'vendor_uid' => $message[0],
            'wamid' => $message[1],
        ] + self::said($logs["{$message[0]} " . Wamid::stored($message[1])] ?? null, $queue), $messages)];
    }

    /**
     * @param list<string> $vendorUids
     * @param list<string> $wamids
     *
     * @return array<string, stdClass> by vendor and wamid
     */
    private function logs(array $vendorUids, array $wamids): array
    {
        $vendorUids = array_values(array_unique($vendorUids));
        $wamids = array_values(array_unique($wamids));
        $logs = [];
        foreach (
            $this->db->rows(
                sprintf(self::LOGS, Database::marks($wamids), Database::marks($vendorUids)),
                [...$wamids, ...$vendorUids]
            ) as $row
        ) {
            $logs["{$row->vendor_uid} {$row->wamid}"] ??= $row;
        }

        return $logs;
    }

    /**
     * Return the statuses of the rows that are still in the queue.
     *
     * @param array<string, stdClass> $logs
     *
     * @return array<string, int> by campaign and contact
     */
    private function queue(array $logs): array
    {
        $sent = array_filter($logs, static fn (stdClass $log): bool => $log->campaigns__id && $log->contacts__id);
        if ($sent === []) {
            return [];
        }
        $contacts = array_values(array_unique(array_column($sent, 'contacts__id')));
        $campaigns = array_values(array_unique(array_column($sent, 'campaigns__id')));
        $statuses = [];
        foreach (
            $this->db->rows(
                sprintf(self::QUEUE, Database::marks($contacts), Database::marks($campaigns)),
                [...$contacts, ...$campaigns]
            ) as $row
        ) {
            $statuses["{$row->campaigns__id} {$row->contacts__id}"] = (int) $row->status;
        }

        return $statuses;
    }

    /**
     * @param array<string, int> $queue
     *
     * @return array<string, mixed>
     */
    private static function said(?stdClass $log, array $queue): array
    {
        if ($log === null) {
            return ['logged' => false];
        }
        $incoming = (bool) $log->is_incoming_message;

        return [
            'logged' => true,
            'incoming' => $incoming,
            'status' => $log->status,
            'campaign_uid' => $log->campaign_uid,
            'queue_status' => $queue["{$log->campaigns__id} {$log->contacts__id}"] ?? null,
            'bots' => $incoming && $log->bots !== null ? Json::list($log->bots) : null,
            'first_in_24h' => $incoming ? self::isFirst($log) : null,
            'bots_off' => (bool) $log->disable_reply_bot,
        ];
    }

    private static function isFirst(stdClass $log): bool
    {
        return $log->wrote_before === null
            || Time::ms($log->wrote_before) < Time::ms($log->created_at) - self::DAY_MS;
    }
}
