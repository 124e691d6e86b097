<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Illuminate\Database\QueryException;
use stdClass;
use WhatsappSidecar\Laravel\Cache\KnownUsers;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Person;

/**
 * Finds rows of contacts by number or user id.
 *
 * A user id stands in `__data.user_id`. With contracts/sql/user_ids.sql an index covers it. Without, a
 * contact that was made for a user id is found by its `_uid`, which follows from the id; for the others the
 * vendor's contacts are read, once for each that is found; for a person whose number is known, as nearly
 * everybody's is, only those without a number.
 */
final class ContactRows
{
    public const COLUMNS = 'SELECT _id, _uid, vendors__id, wa_id, disable_reply_bot, disable_ai_bot, __data'
        . ' FROM {contacts} ';

    private const BY_NUMBER = self::COLUMNS
        . 'WHERE vendors__id = ? AND wa_id IN (%s) ORDER BY wa_id = ? DESC, _id LIMIT 1';

    private const BY_COLUMN = self::COLUMNS . 'FORCE INDEX (sidecar_contacts_user_id)'
        . ' WHERE vendors__id IN (%s) AND sidecar_user_id IN (%s) ORDER BY _id';

    /** Older rows may have the user id where the number belongs. */
    private const BY_UID = '(' . self::COLUMNS . 'WHERE _uid = ?) UNION ALL'
        . ' (' . self::COLUMNS . 'WHERE vendors__id = ? AND wa_id = ? ORDER BY _id LIMIT 1)';

    private const BY_READING = self::COLUMNS . 'WHERE vendors__id = ?%s'
        . " AND JSON_UNQUOTE(JSON_EXTRACT(__data, '$.user_id')) = ? ORDER BY _id";

    /** So many characters of a user id are in the column that is indexed. */
    private const INDEXED = 255;

    /** ER_BAD_FIELD_ERROR and ER_KEY_DOES_NOT_EXITS: user_ids.sql has not been run. */
    private const NOT_THERE = [1054, 1176];

    private bool $isIndexed = true;

    public function __construct(private Database $db, private KnownUsers $known)
    {
    }

    /**
     * @param list<int> $ids
     *
     * @return list<stdClass>
     */
    public function byIds(array $ids): array
    {
        return $ids === []
            ? []
            : $this->db->rows(self::COLUMNS . 'WHERE _id IN (' . Database::marks($ids) . ')', $ids);
    }

    public function byUid(string $uid): ?stdClass
    {
        return $this->db->row(self::COLUMNS . 'WHERE _uid = ?', [$uid]);
    }

    /** Return the contact of a number, in any of its forms; the form that is given goes before others. */
    public function byNumber(Vendor $vendor, ?string $waId): ?stdClass
    {
        return $waId === null ? null : $this->ofNumber($vendor->id, $waId);
    }

    /** @param string $lock "" or " FOR UPDATE" */
    public function ofNumber(int $vendorId, string $waId, string $lock = ''): ?stdClass
    {
        $forms = Person::numberForms($waId);

        return $this->db->row(
            sprintf(self::BY_NUMBER, Database::marks($forms)) . $lock,
            [$vendorId, ...$forms, $waId]
        );
    }

    /**
     * Return the contact of a user id, also of one that it had before.
     *
     * @param bool $hasNumber whether it is somebody whose number is known: nobody else has that user id then,
     *     but a contact without a number
     */
    public function byUserId(Vendor $vendor, ?string $userId, bool $hasNumber = false): ?stdClass
    {
        if ($userId === null) {
            return null;
        }

        return $this->indexed([[$vendor->id, $userId]])[0]
            ?? $this->made($vendor, $userId)
            ?? ($this->isIndexed ? null : $this->read($vendor, $userId, $hasNumber));
    }

    /**
     * Return which contacts have user ids, as far as that takes no reading of all.
     *
     * @param array<int, array{int, string, string}> $users the vendor's `_id`, the user id and the vendor's
     *     `_uid`, by any key
     *
     * @return array<int, int> `_id` by that key
     */
    public function knownBy(array $users): array
    {
        $uids = [];
        foreach ($users as $key => [, $userId, $vendorUid]) {
            $uids[self::uidOf($vendorUid, new Person(null, $userId))] = $key;
        }
        $known = [];
        $marks = Database::marks($uids);
        $rows = $uids === [] ? [] : $this->db->rows(self::COLUMNS . "WHERE _uid IN ({$marks})", array_keys($uids));
        foreach ($rows as $row) {
            $known[$uids[$row->_uid]] = (int) $this->remaining($row)->_id;
        }
        foreach (array_filter($this->indexed(array_diff_key($users, $known))) as $key => $row) {
            $known[$key] = (int) $row->_id;
        }

        return $known;
    }

    /** Tell whether user ids have an index, as far as is known. */
    public function isIndexed(): bool
    {
        return $this->isIndexed;
    }

    /** Return the `_uid` of a contact that is made for this person. */
    public static function uid(Vendor $vendor, Person $person, int $attempt = 0): string
    {
        return self::uidOf($vendor->uid, $person, $attempt);
    }

    private static function uidOf(string $vendorUid, Person $person, int $attempt = 0): string
    {
        $name = "{$vendorUid}:" . ($person->waId ?? "user:{$person->userId}");

        return Uuid::of(Uuid::CONTACTS, $attempt === 0 ? $name : "{$name}#{$attempt}");
    }

    /**
     * Return the contacts of user ids that the index finds, if there is one.
     *
     * @param array<int, array{int, string}> $users the vendor's `_id` and the user id, by any key
     *
     * @return array<int, ?stdClass> by that key
     */
    public function indexed(array $users): array
    {
        $rows = [];
        foreach ($this->indexedRows($users) as $row) {
            $rows["{$row->vendors__id} " . Contact::userId($row)] ??= $row;
        }

        return array_map(static fn (array $user): ?stdClass => $rows["{$user[0]} {$user[1]}"] ?? null, $users);
    }

    /**
     * @param array<int, array{int, string}> $users
     *
     * @return list<stdClass>
     */
    private function indexedRows(array $users): array
    {
        if (! $this->isIndexed || $users === []) {
            return [];
        }
        $vendorIds = array_values(array_unique(array_column($users, 0)));
        $keys = array_map(
            static fn (array $user): string => mb_substr($user[1], 0, self::INDEXED),
            array_values($users)
        );
        try {
            return $this->db->rows(
                sprintf(self::BY_COLUMN, Database::marks($vendorIds), Database::marks($keys)),
                [...$vendorIds, ...$keys]
            );
        } catch (QueryException $error) {
            if (! in_array((int) ($error->errorInfo[1] ?? 0), self::NOT_THERE, true)) {
                throw $error;
            }
            $this->isIndexed = false;

            return [];
        }
    }

    /** Find the contact by reading the vendor's, once; later ones are found by what that has shown. */
    private function read(Vendor $vendor, string $userId, bool $hasNumber): ?stdClass
    {
        $id = $this->known->find($vendor->id, $userId);
        $found = self::having($userId, $id === null ? [] : $this->byIds([$id]));
        if ($found !== null && (int) $found->vendors__id === $vendor->id) {
            return $found;
        }
        $sql = sprintf(self::BY_READING, $hasNumber ? ' AND wa_id IS NULL' : '');
        $found = self::having($userId, $this->db->rows($sql, [$vendor->id, $userId]));
        if ($found !== null) {
            $this->known->keep($vendor->id, $userId, (int) $found->_id);
        }

        return $found;
    }

    /** Return the contact that was made for the user id, or the one that this has become. */
    private function made(Vendor $vendor, string $userId): ?stdClass
    {
        $uid = self::uid($vendor, new Person(null, $userId));
        foreach ($this->db->rows(self::BY_UID, [$uid, $vendor->id, $userId]) as $row) {
            if ($row->_uid === $uid || Contact::userId($row) === $userId) {
                return $this->remaining($row);
            }
        }

        return null;
    }

    /** Return what a row has become, where it was merged into another, and that into a third. */
    private function remaining(stdClass $row): stdClass
    {
        $into = self::mergedInto($row);
        $next = $into === null ? null : $this->byUid($into);

        return $next === null ? $row : $this->remaining($next);
    }

    public static function isMerged(stdClass $row): bool
    {
        return self::mergedInto($row) !== null;
    }

    private static function mergedInto(stdClass $row): ?string
    {
        $into = Json::section(Json::object($row->__data), 'sidecar')->merged_into ?? null;

        return is_string($into) ? $into : null;
    }

    /**
     * Return the row that has the user id, letter for letter.
     *
     * @param list<stdClass> $rows
     */
    private static function having(string $userId, array $rows): ?stdClass
    {
        foreach ($rows as $row) {
            if (Contact::userId($row) === $userId) {
                return $row;
            }
        }

        return null;
    }
}
