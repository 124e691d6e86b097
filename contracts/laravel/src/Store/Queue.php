<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Reads and writes rows of the queue by their uids. */
final class Queue
{
    public function __construct(private Database $db)
    {
    }

    /**
     * Lock rows and return them by uid.
     *
     * @param list<string> $uids
     *
     * @return array<string, QueueRow>
     */
    public function lock(array $uids): array
    {
        if ($uids === []) {
            return [];
        }
        $marks = Database::marks($uids);

        return self::byUid($this->db->rows(
            'SELECT ' . QueueRow::COLUMNS . " FROM {queue} WHERE _uid IN ({$marks}) ORDER BY _uid FOR UPDATE",
            $uids
        ));
    }

    /**
     * Write what was decided about rows. `scheduled_at` null leaves the row's own.
     *
     * @param list<array{id: int, status: int, retries: int, scheduled_at: ?string, patch: string}> $rows
     */
    public function settle(array $rows, string $now): void
    {
        $this->db->changeEach(
            'queue',
            [
                'status' => 'TINYINT UNSIGNED',
                'retries' => 'TINYINT UNSIGNED',
                'scheduled_at' => 'DATETIME',
                'patch' => 'LONGTEXT',
            ],
            'old.updated_at = ?, old.status = new.status, old.retries = new.retries,'
                . ' old.scheduled_at = COALESCE(new.scheduled_at, old.scheduled_at),'
                . " old.__data = JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch)",
            [$now],
            $rows
        );
    }

    /**
     * Give rows the same status and the same reason.
     *
     * @param list<int> $ids
     * @param bool $notSent whether they certainly were not sent, and may be put back
     */
    public function end(
        array $ids,
        int $status,
        string $error,
        string $message,
        string $now,
        bool $notSent = false
    ): void {
        if ($ids !== []) {
            $response = ['process_response' => ['error_message' => $message, 'error_status' => $error]]
                + ($notSent ? ['sidecar' => [QueueRow::NOT_SENT => $now]] : []);
            $this->db->change(
                "UPDATE {queue} SET status = ?, updated_at = ?, __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?)"
                    . ' WHERE _id IN (' . Database::marks($ids) . ')',
                [$status, $now, Json::dump($response), ...$ids]
            );
        }
    }

    /**
     * Have rows of unknown outcome sent again: nothing is left of how their last attempt ended, but that
     * it may have sent them.
     *
     * @param list<int> $ids
     */
    public function resend(array $ids, string $now): void
    {
        if ($ids !== []) {
            $this->db->change(
                'UPDATE {queue} SET status = 1, updated_at = ?,'
                    . " __data = JSON_REMOVE(JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?), '$.process_response')"
                    . ' WHERE _id IN (' . Database::marks($ids) . ')',
                [$now, Json::dump(['sidecar' => [QueueRow::MAYBE_SENT => true]]), ...$ids]
            );
        }
    }

    /**
     * Have rows that were certainly not sent tried anew, as if for the first time.
     *
     * @param list<int> $ids
     */
    public function retry(array $ids, string $now): void
    {
        if ($ids !== []) {
            $this->db->change(
                'UPDATE {queue} SET status = 1, retries = 0, updated_at = ?,'
                    . " __data = JSON_REMOVE(__data, '$.process_response', '$.sidecar." . QueueRow::NOT_SENT
                    . "', '$.sidecar." . QueueRow::RETRIES . "')"
                    . ' WHERE _id IN (' . Database::marks($ids) . ')',
                [$now, ...$ids]
            );
        }
    }

    /** Tell whether a row's expiry has passed. */
    public static function hasExpired(stdClass $row, string $now): bool
    {
        $expiry = Json::object($row->__data)->expiry_at ?? null;

        return is_string($expiry) && $expiry !== '' && Time::column($expiry) <= $now;
    }

    /** @return array<string, QueueRow> */
    public static function byUid(array $rows): array
    {
        $byUid = [];
        foreach ($rows as $row) {
            $byUid[$row->_uid] = new QueueRow($row);
        }

        return $byUid;
    }
}
