<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use stdClass;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Json;

/** What campaigns' messages have failed of: rows of the queue, and messages of the log. */
final class CampaignErrors
{
    private const INDEX = 'sidecar_queue_claim';

    private const LOG_INDEX = 'sidecar_logs_campaign';

    /**
     * The errors stay JSON, so that a number and a text are told apart here. At most 10,000 rows are looked at, and
     * 100 errors told.
     */
    private const GROUPED = 'SELECT campaigns__id, error, MIN(message) AS message, COUNT(*) AS found FROM (%s'
        . ' LIMIT 10000) AS failed GROUP BY campaigns__id, error ORDER BY found DESC LIMIT 100';

    private const QUEUE = "SELECT queue.campaigns__id, JSON_EXTRACT(queue.__data, '$.process_response.error_status')"
        . " AS error, LEFT(JSON_UNQUOTE(JSON_EXTRACT(queue.__data, '$.process_response.error_message')), 500)"
        . ' AS message FROM {queue} AS queue %%s WHERE queue.campaigns__id IN (%s) AND queue.status = 2';

    private const LOG = "SELECT logs.campaigns__id, JSON_EXTRACT(logs.__data, '$.error.code') AS error,"
        . " LEFT(JSON_UNQUOTE(JSON_EXTRACT(logs.__data, '$.error.title')), 500) AS message FROM {logs} AS logs %%s"
        . " WHERE logs.campaigns__id IN (%s) AND logs.is_incoming_message = 0 AND logs.status = 'failed'";

    public function __construct(private Database $db)
    {
    }

    /**
     * @param list<int> $ids of campaigns
     *
     * @return array<int, list<array<string, mixed>>> the contract's CampaignErrors, by campaign
     */
    public function of(array $ids): array
    {
        $found = array_fill_keys($ids, []);
        foreach ([[self::QUEUE, self::INDEX, false], [self::LOG, self::LOG_INDEX, true]] as [$sql, $index, $later]) {
            $grouped = sprintf(self::GROUPED, sprintf($sql, Database::marks($ids)));
            foreach ($this->db->rowsByIndex($grouped, $index, $ids) as $row) {
                self::add($found[$row->campaigns__id], $row, $later);
            }
        }

        return array_map('array_values', $found);
    }

    /**
     * What is no error code in one way or another counts together.
     *
     * @param array<string, array<string, mixed>> $told
     */
    private static function add(array &$told, stdClass $row, bool $later): void
    {
        $error = $row->error === null ? null : FailedRows::text(Json::read($row->error));
        $told["{$later} {$error}"] ??= [
            'error_status' => $error,
            'message' => $row->message === 'null' ? null : $row->message,
            'count' => 0,
            'later' => $later,
        ];
        $told["{$later} {$error}"]['count'] += (int) $row->found;
    }
}
