<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use stdClass;
use WhatsappSidecar\Laravel\Store\Columns;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\LogRow;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Results of sends that belong to no campaign, recorded together in their log rows. */
final class MessageResults
{
    private const ROWS = 'SELECT _id, _uid, vendors__id, contacts__id, contact_wa_id, wamid, status, __data'
        . ' FROM {logs} WHERE _uid IN (%s) AND is_incoming_message = 0 ORDER BY _uid FOR UPDATE';

    /** @var array<string, stdClass> by vendor and uid */
    private array $rows = [];

    /** @var array<int, array<string, mixed>> */
    private array $changed = [];

    private string $now;

    /** @param list<SendResult> $results */
    public function __construct(
        private Database $db,
        private LearntIds $learnt,
        private NamedIds $ids,
        int $nowMs,
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
        $uids = array_values(array_unique(array_column($this->results, 'uid')));
        foreach ($this->db->rows(sprintf(self::ROWS, Database::marks($uids)), $uids) as $row) {
            $row->data = Json::object($row->__data);
            $this->rows["{$row->vendors__id} {$row->_uid}"] = $row;
        }
        $answers = array_map(function (SendResult $result): array {
            $reason = $this->decide($result);

            return ['id' => $result->uid, 'result' => $reason === null ? 'done' : 'ignored', 'reason' => $reason];
        }, $this->results);
        $this->write();

        return $answers;
    }

    /** Plan what the result changes. Return why it changes nothing and never will, if so. */
    private function decide(SendResult $result): ?string
    {
        $vendorId = $this->ids->vendors[$result->vendorUid] ?? null;
        $row = $this->rows["{$vendorId} {$result->uid}"] ?? null;
        if ($row === null) {
            return 'row_unknown';
        }
        if ($result->outcome === 'accepted') {
            return $this->accept($result, $row);
        }
        if ($result->outcome === 'requeue') {
            return 'requeue_without_campaign';
        }
        $known = Json::section($row->data, 'sidecar')->results ?? [];
        if (in_array($result->mark(), $known, true)) {
            return null;
        }
        if ($row->wamid !== null) {
            return 'row_has_wamid';
        }
        if ($result->outcome === 'unknown' && $row->status === 'failed') {
            return 'row_has_failed';
        }
        $row->status = $result->outcome;
        $row->data->sidecar = Json::section($row->data, 'sidecar');
        $row->data->sidecar->results = [...$known, $result->mark()];
        $this->change($row, [
            'error' => $result->error(),
            'sidecar' => ['results' => $row->data->sidecar->results],
        ]);

        return null;
    }

    /** `accepted` is a fact; but a status that came first has said more. */
    private function accept(SendResult $result, stdClass $row): ?string
    {
        if (! $result->wamid) {
            return 'wamid_missing';
        }
        if ($row->wamid !== null && $row->wamid !== $result->storedWamid) {
            return 'row_has_wamid';
        }
        if (isset($row->data->initial_response)) {
            return null;
        }
        $patch = [
            'initial_response' => Json::shallow($result->response),
            'sidecar' => [LogRow::ACCEPTED_AT => $result->at],
        ];
        if ($row->wamid === null) {
            $row->wamid = $result->storedWamid;
            $row->status = $result->messageStatus ?: 'accepted';
            $patch += ['error' => null] + Wamid::data($result->wamid);
        }
        $row->data->initial_response = $result->response;
        $contactId = $row->contacts__id === null ? null : (int) $row->contacts__id;
        $this->learnt->note($contactId, $row->contact_wa_id, $result);
        $row->contact_wa_id = $result->waId ?? $row->contact_wa_id;
        $this->change($row, $patch, $result->phoneNumberId);

        return null;
    }

    /** @param array<string, mixed> $patch what is new in `__data` */
    private function change(stdClass $row, array $patch, ?string $number = null): void
    {
        $earlier = $this->changed[(int) $row->_id] ?? [];
        $number = Columns::fit('logs', 'wab_phone_number_id', $number);
        $this->changed[(int) $row->_id] = [
            'id' => (int) $row->_id,
            'wamid' => $row->wamid,
            'status' => Columns::fit('logs', 'status', $row->status),
            'wa_id' => $row->contact_wa_id,
            'phone_number_id' => $number ?? $earlier['phone_number_id'] ?? null,
            'patch' => $patch + ($earlier['patch'] ?? []),
        ];
    }

    private function write(): void
    {
        $this->db->changeEach(
            'logs',
            [
                'wamid' => 'VARCHAR(255)',
                'status' => 'VARCHAR(64)',
                'wa_id' => 'VARCHAR(45)',
                'phone_number_id' => 'VARCHAR(45)',
                'patch' => 'LONGTEXT',
            ],
            'old.updated_at = ?, old.wamid = new.wamid, old.status = new.status, old.contact_wa_id = new.wa_id,'
                . ' old.wab_phone_number_id = COALESCE(new.phone_number_id, old.wab_phone_number_id),'
                . " old.__data = JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch)",
            [$this->now],
            array_values(array_map(
                static fn (array $row): array => ['patch' => Json::dump((object) $row['patch'])] + $row,
                $this->changed
            ))
        );
    }
}
