<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use stdClass;
use WhatsappSidecar\Laravel\Store\ContactRows;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\HeldContacts;
use WhatsappSidecar\Laravel\Store\MergeContacts;
use WhatsappSidecar\Laravel\Store\Recipient;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * What answers of the messages call say of recipients: their number, as Meta writes it, and their user
 * id. Written together, in as many statements however many contacts there are; but where one turns out to
 * be somebody whom another contact stands for, the two become one.
 */
final class LearntIds
{
    /** @var array<int, array{vendor: string, number: ?string, is_new: bool, user_id: ?string}> by contact */
    private array $said = [];

    public function __construct(
        private Database $db,
        private ContactRows $rows,
        private HeldContacts $held,
        private MergeContacts $merge
    ) {
    }

    /** @param string|null $asked the number that the message was sent to, if it was one */
    public function note(?int $contactId, ?string $asked, SendResult $result): void
    {
        $sentTo = Recipient::digits($asked);
        $number = $result->waId === $sentTo ? null : $result->waId;
        // To a user id, the answer only repeats it; meanwhile the contact may have another one.
        $userId = $sentTo === null ? null : $result->userId;
        if ($contactId !== null && ($number !== null || $userId !== null)) {
            $this->said[$contactId] = [
                'vendor' => $result->vendorUid,
                'number' => $number,
                'is_new' => $sentTo === null,
                'user_id' => $userId,
            ];
        }
    }

    public function write(string $now): void
    {
        $changes = [];
        foreach ($this->held->locked(array_keys($this->said)) as $row) {
            $change = self::change($row, $this->said[(int) $row->_id]);
            if ($change !== null) {
                $changes[(int) $row->_id] = $change;
            }
        }
        $changes = $this->united($changes, $now);
        $this->db->changeEach(
            'contacts',
            ['wa_id' => 'VARCHAR(45)', 'patch' => 'LONGTEXT'],
            'old.updated_at = ?, old.wa_id = COALESCE(new.wa_id, old.wa_id),'
                . " old.__data = JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch)",
            [$now],
            array_map(static fn (array $change): array => [
                'id' => $change['id'],
                'wa_id' => $change['wa_id'],
                'patch' => Json::dump((object) array_filter(['user_id' => $change['user_id']])),
            ], array_values($changes))
        );
        $this->said = [];
    }

    /**
     * @param array{vendor: string, number: ?string, is_new: bool, user_id: ?string} $said
     *
     * @return array<string, mixed>|null
     */
    private static function change(stdClass $row, array $said): ?array
    {
        $number = $said['number'] === $row->wa_id ? null : $said['number'];
        $userId = $said['user_id'] === (Json::object($row->__data)->user_id ?? null) ? null : $said['user_id'];

        return $number === null && $userId === null ? null : [
            'id' => (int) $row->_id,
            'uid' => $row->_uid,
            'vendor_id' => (int) $row->vendors__id,
            'wa_id' => $number,
            'is_new' => $said['is_new'],
            'user_id' => $userId,
            'user' => $userId === null ? null : [(int) $row->vendors__id, $userId, $said['vendor']],
        ];
    }

    /**
     * Make one contact of those that are one person: the one that has the number remains.
     *
     * @param array<int, array<string, mixed>> $changes
     *
     * @return array<int, array<string, mixed>>
     */
    private function united(array $changes, string $now): array
    {
        $known = $this->rows->knownBy(array_filter(array_column($changes, 'user', 'id')));
        $gone = [];
        foreach ($changes as $id => $change) {
            if (isset($gone[$id])) {
                unset($changes[$id]);
                continue;
            }
            $other = $known[$id] ?? $id;
            if ($other !== $id) {
                $this->merge->into($id, $change['uid'], $other, $now);
                $gone[$other] = true;
            }
            $owner = $change['is_new'] && $change['wa_id'] !== null
                ? $this->rows->ofNumber($change['vendor_id'], $change['wa_id'])
                : null;
            if ($owner !== null && (int) $owner->_id !== $id) {
                $this->merge->into((int) $owner->_id, $owner->_uid, $id, $now);
                $gone[$id] = true;
                $changes[$id] = ['id' => (int) $owner->_id, 'wa_id' => null] + $change;
            }
        }

        return $changes;
    }
}
