<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;

/** A vendor's contacts: found by phone number or user id, or created. */
final class Contacts
{
    private const NAME_LENGTH = 150;

    private const FOUND = 'SELECT _id, _uid, wa_id, disable_reply_bot, disable_ai_bot,'
        . " JSON_UNQUOTE(JSON_EXTRACT(__data, '$.user_id')) AS user_id"
        . ' FROM {contacts} WHERE vendors__id = ? AND ';

    /** No index covers the user id; the vendor's contacts are read, for people who hide their number only. */
    private const BY_USER_ID = self::FOUND . "JSON_UNQUOTE(JSON_EXTRACT(__data, '$.user_id')) = ? ORDER BY _id LIMIT 1";

    private const BY_WA_ID = self::FOUND . 'wa_id = ? ORDER BY _id LIMIT 1';

    private const LATEST = 'SELECT created_at FROM {logs} WHERE contacts__id = ? AND is_incoming_message = 1'
        . ' ORDER BY _id DESC LIMIT 1';

    public function __construct(private Database $db, private Clock $clock)
    {
    }

    /**
     * Return the contact; null if there is nothing to know them by. A contact who was known by
     * one of the two ids learns the other.
     */
    public function findOrCreate(Vendor $vendor, ?string $waId, ?string $userId, ?string $name): ?Contact
    {
        if ($waId === null && $userId === null) {
            return null;
        }
        $row = $this->find($vendor, $waId, $userId);
        if ($row === null) {
            [$id, $uid] = $this->insert($vendor, $waId, $userId, self::split($name));

            return new Contact($id, $uid, $waId);
        }
        if (($userId !== null && $row->user_id !== $userId) || ($waId !== null && ! $row->wa_id)) {
            $patch = $userId === null ? '{}' : Json::dump(['user_id' => $userId]);
            $this->db->change(
                "UPDATE {contacts} SET wa_id = COALESCE(NULLIF(wa_id, ''), ?), updated_at = ?,"
                    . " __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?) WHERE _id = ?",
                [$waId, $this->now(), $patch, $row->_id]
            );
        }

        return new Contact(
            (int) $row->_id,
            $row->_uid,
            $row->wa_id ?: $waId,
            (bool) $row->disable_reply_bot,
            (bool) $row->disable_ai_bot
        );
    }

    /** Create the contact, or take over the names that are given. */
    public function upsert(Vendor $vendor, string $waId, ?string $fullName, ?string $firstName): void
    {
        $names = self::split($fullName);
        $names['first_name'] = $firstName === null ? $names['first_name'] : self::cut($firstName);
        $row = $this->find($vendor, $waId, null);
        if ($row === null) {
            $this->insert($vendor, $waId, null, $names);

            return;
        }
        $this->db->change(
            'UPDATE {contacts} SET first_name = COALESCE(?, first_name), last_name = COALESCE(?, last_name),'
                . ' updated_at = ? WHERE _id = ?',
            [$names['first_name'], $names['last_name'], $this->now(), $row->_id]
        );
    }

    private function find(Vendor $vendor, ?string $waId, ?string $userId): ?stdClass
    {
        $row = $waId === null ? null : $this->db->row(self::BY_WA_ID, [$vendor->id, $waId]);
        if ($row === null && $userId !== null) {
            $row = $this->db->row(self::BY_USER_ID, [$vendor->id, $userId]);
        }

        return $row;
    }

    /** Return when the latest message of the contact's was stored; 0 if there is none. */
    public function latestMessageMs(Contact $contact): int
    {
        $latest = $this->db->row(self::LATEST, [$contact->id]);

        return $latest === null ? 0 : Time::ms($latest->created_at) ?? 0;
    }

    /**
     * Have bots' switches change the contact.
     *
     * @param array<string, int> $columns
     */
    public function change(Contact $contact, array $columns): void
    {
        $assigned = static fn (string $name): string => ", {$name} = ?";
        $assignments = implode('', array_map($assigned, array_keys($columns)));
        $this->db->change(
            "UPDATE {contacts} SET updated_at = ?{$assignments} WHERE _id = ?",
            [$this->now(), ...array_values($columns), $contact->id]
        );
    }

    /**
     * @param array<string, ?string> $names
     *
     * @return array{int, string} `_id` and `_uid`
     */
    private function insert(Vendor $vendor, ?string $waId, ?string $userId, array $names): array
    {
        // Follows from who it is, so that two calls at the same moment make one contact.
        $uid = Uuid::of(Uuid::CONTACTS, "{$vendor->uid}:" . ($waId ?? "user:{$userId}"));
        $this->db->insertMissing('contacts', [[
            '_uid' => $uid,
            'created_at' => $this->now(),
            'updated_at' => $this->now(),
            'vendors__id' => $vendor->id,
            'wa_id' => $waId,
            'first_name' => $names['first_name'],
            'last_name' => $names['last_name'],
            '__data' => $userId === null ? null : Json::dump(['user_id' => $userId]),
        ]]);

        return [(int) $this->db->row('SELECT _id FROM {contacts} WHERE _uid = ?', [$uid])->_id, $uid];
    }

    /** @return array{first_name: ?string, last_name: ?string} */
    private static function split(?string $name): array
    {
        [$first, $last] = explode(' ', trim($name ?? ''), 2) + [1 => ''];

        return ['first_name' => self::cut($first), 'last_name' => self::cut(trim($last))];
    }

    private static function cut(string $name): ?string
    {
        return $name === '' ? null : mb_substr($name, 0, self::NAME_LENGTH);
    }

    private function now(): string
    {
        return Time::text($this->clock->nowMs());
    }
}
