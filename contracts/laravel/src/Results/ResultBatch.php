<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use stdClass;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\LogRow;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Store\QueueStatus;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Results of campaigns that are recorded together, in one transaction. */
final class ResultBatch
{
    private const MINUTE_MS = 60000;

    /** The status of a row to which a result has been applied already. */
    private const REACHED = [
        'failed' => QueueStatus::ERROR,
        'requeue' => QueueStatus::QUEUED,
        'unknown' => QueueStatus::UNKNOWN,
    ];

    /** Rows of the log by vendor and wamid; `early` if only a status is known of them. */
    private const LOGGED = 'SELECT _id, contacts__id, contact_wa_id, vendors__id, wamid,'
        . " JSON_TYPE(JSON_EXTRACT(__data, '$.initial_response')) = 'NULL' AS early FROM {logs}"
        . ' WHERE vendors__id IN (%s) AND wamid IN (%s) FOR UPDATE';

    /** @var array<string, QueueRow> */
    private array $rows;

    /** @var array<string, stdClass> */
    private array $logged;

    /** @var array<int, array<string, mixed>> */
    private array $changed = [];

    /** @var array<string, array<string, mixed>> */
    private array $logRows = [];

    /** @var list<array<string, mixed>> */
    private array $completed = [];

    private string $now;

    /** @param list<SendResult> $results */
    public function __construct(
        private Database $db,
        private Queue $queue,
        private LearntIds $learnt,
        private NamedIds $ids,
        private int $nowMs,
        private array $results
    ) {
        $this->now = Time::text($nowMs);
    }

    /** @return list<array<string, mixed>> */
    public function apply(): array
    {
        if ($this->results === []) {
            return [];
        }
        $this->read();
        $answers = array_map(function (SendResult $result): array {
            $reason = $this->decide($result);

            return ['id' => $result->uid, 'result' => $reason === null ? 'done' : 'ignored', 'reason' => $reason];
        }, $this->results);
        $this->write();

        return $answers;
    }

    private function read(): void
    {
        $this->rows = $this->queue->lock(array_values(array_unique(array_column($this->results, 'uid'))));
        $this->logged = $this->readLogged();
    }

    /** @return array<string, stdClass> */
    private function readLogged(): array
    {
        $wamids = [];
        foreach ($this->results as $result) {
            if ($result->outcome === 'accepted' && $result->wamid) {
                $wamids[] = $result->storedWamid;
            }
        }
        if ($wamids === [] || $this->ids->vendors === []) {
            return [];
        }
        $vendors = array_values($this->ids->vendors);
        $logged = [];
        foreach (
            $this->db->rows(
                sprintf(self::LOGGED, Database::marks($vendors), Database::marks($wamids)),
                [...$vendors, ...$wamids]
            ) as $row
        ) {
            $logged[self::key((int) $row->vendors__id, $row->wamid)] ??= $row;
        }

        return $logged;
    }

    private static function key(?int $vendorId, string $wamid): string
    {
        return "{$vendorId} {$wamid}";
    }

    /** Plan what the result changes. Return why it changes nothing and never will, if so. */
    private function decide(SendResult $result): ?string
    {
        $row = $this->rowOf($result);
        if ($result->outcome === 'accepted') {
            return $this->accept($result, $row);
        }
        if ($row === null) {
            return 'row_unknown';
        }
        if ($row->remembers(QueueRow::RESULTS, $result->mark())) {
            return null;
        }
        if ($row->status !== QueueStatus::PROCESSING) {
            return $row->status === self::REACHED[$result->outcome] ? null : 'row_not_in_processing';
        }
        if ($result->claimUid && $row->claimUid() !== $result->claimUid) {
            return 'claimed_anew';
        }
        $row->remember(QueueRow::RESULTS, $result->mark());
        if ($result->outcome === 'failed') {
            $this->change($row, QueueStatus::ERROR, $result->processResponse());
        } elseif ($result->outcome === 'unknown') {
            $this->change($row, QueueStatus::UNKNOWN, $result->processResponse('awaited_response_error'));
        } else {
            $this->requeue($row, $result);
        }

        return null;
    }

    private function rowOf(SendResult $result): ?QueueRow
    {
        $row = $this->rows[$result->uid] ?? null;
        $fits = $row !== null
            && $row->vendorId === ($this->ids->vendors[$result->vendorUid] ?? null)
            && $row->campaignId === ($this->ids->campaigns[$result->campaignUid] ?? null);

        return $fits ? $row : null;
    }

    /**
     * `accepted` is a fact: it settles the row whatever its status is, unless this send has failed
     * since and the row waits to be sent anew.
     */
    private function accept(SendResult $result, ?QueueRow $row): ?string
    {
        if (! $result->wamid) {
            return 'wamid_missing';
        }
        $key = self::key($this->ids->vendors[$result->vendorUid] ?? null, (string) $result->storedWamid);
        $logged = $this->logged[$key] ?? null;
        if ($row === null && $logged === null) {
            return 'row_unknown';
        }
        if ($row !== null && $row->remembers(QueueRow::SUPERSEDED, (string) $result->storedWamid)) {
            return null;
        }
        if ($row !== null && $logged === null) {
            $this->logRows[$key] ??= LogRow::of(
                $row,
                $result->wamid,
                $result->messageStatus ?: 'accepted',
                $result->waId,
                $result->phoneNumberId,
                $result->response,
                $this->now,
                null,
                [],
                [LogRow::ACCEPTED_AT => $result->at]
            );
            $this->learnt->note($row->contactId, $row->phone, $result);
        } elseif ($logged !== null && $logged->early) {
            $this->complete($result, $logged);
        }
        if ($row !== null && $row->status !== QueueStatus::AWAITING_STATUS) {
            $this->change($row, QueueStatus::AWAITING_STATUS, null);
        }

        return null;
    }

    /** A status was earlier than the result: add what only the result knows. */
    private function complete(SendResult $result, stdClass $logged): void
    {
        $this->completed[] = [
            'id' => $logged->_id,
            'response' => Json::dump(Json::shallow($result->response)),
            'wa_id' => $result->waId,
            'at' => $result->at,
        ];
        $contactId = $logged->contacts__id === null ? null : (int) $logged->contacts__id;
        $this->learnt->note($contactId, $logged->contact_wa_id, $result);
    }

    private function requeue(QueueRow $row, SendResult $result): void
    {
        if ($result->attempted) {
            if ($row->retries >= QueueStatus::MAX_RETRIES) {
                $this->change($row, QueueStatus::ERROR, $result->processResponse('retries_exhausted_error'));

                return;
            }
            $row->countRetry();
        }
        $this->change(
            $row,
            QueueStatus::QUEUED,
            $result->hasError ? $result->processResponse() : null,
            $result->dueAt ?? $this->nowMs + $row->retries * self::MINUTE_MS
        );
    }

    /** @param array<string, string>|null $response */
    private function change(QueueRow $row, int $status, ?array $response, ?int $dueAt = null): void
    {
        $row->status = $status;
        $this->changed[$row->id] = [
            'id' => $row->id,
            'status' => $status,
            'retries' => $row->retries,
            'scheduled_at' => $dueAt === null ? null : Time::due($dueAt, $this->nowMs),
            // A result that ends a row is of a send that certainly did not happen.
            'patch' => $row->patch($response, $status === QueueStatus::ERROR ? $this->now : null),
        ];
    }

    private function write(): void
    {
        $this->db->insertMissing('logs', array_values($this->logRows));
        $this->db->changeEach(
            'logs',
            ['response' => 'LONGTEXT', 'wa_id' => 'VARCHAR(45)', 'at' => 'BIGINT'],
            'old.updated_at = ?, old.contact_wa_id = COALESCE(new.wa_id, old.contact_wa_id),'
                . " old.__data = JSON_SET(old.__data, '$.initial_response', JSON_EXTRACT(new.response, '$'),"
                . " '$.sidecar." . LogRow::ACCEPTED_AT . "', new.at)",
            [$this->now],
            $this->completed
        );
        $this->queue->settle(array_values($this->changed), $this->now);
    }
}
