<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Cache\KnownUsers;
use WhatsappSidecar\Laravel\Webhook\Person;

/**
 * Finds rows of contacts as ContactRows does, for many people in as many statements as for one; without
 * what takes a reading of all contacts of a vendor.
 */
final class PeopleRows
{
    private const BY_NUMBERS = ContactRows::COLUMNS . 'WHERE vendors__id = ? AND wa_id IN (%s)';

    private const BY_UIDS = ContactRows::COLUMNS . 'WHERE _uid IN (%s)';

    private const WITHOUT_NUMBER = ContactRows::COLUMNS . 'WHERE vendors__id = ? AND wa_id IS NULL'
        . " AND JSON_UNQUOTE(JSON_EXTRACT(__data, '$.user_id')) IN (%s)";

    public function __construct(private Database $db, private ContactRows $rows, private KnownUsers $known)
    {
    }

    /**
     * @param array<int, list<string>> $numbers by the vendor's `_id`
     *
     * @return list<stdClass>
     */
    public function byNumbers(array $numbers): array
    {
        return $numbers === [] ? [] : Union::rows($this->db, Union::byVendor(self::BY_NUMBERS, $numbers));
    }

    /**
     * Return the rows of user ids, and those of some `_uid`s.
     *
     * @param list<array{Vendor, Person}> $users people with a user id
     * @param list<string> $uids
     *
     * @return list<stdClass>
     */
    public function byUserIds(array $users, array $uids): array
    {
        $rows = array_values(array_filter($this->rows->indexed(array_map(
            static fn (array $user): array => [$user[0]->id, (string) $user[1]->userId],
            $users
        ))));
        $selects = [];
        $byVendor = [];
        foreach ($users as [$vendor, $person]) {
            $uids[] = ContactRows::uid($vendor, new Person(null, $person->userId));
            $byVendor[$vendor->id][] = (string) $person->userId;
        }
        if ($uids !== []) {
            $uids = array_values(array_unique($uids));
            $selects[] = [sprintf(self::BY_UIDS, Database::marks($uids)), $uids];
        }
        // Older rows may have the user id where the number belongs.
        array_push($selects, ...Union::byVendor(self::BY_NUMBERS, $byVendor));

        return [...$rows, ...Union::rows($this->db, $selects), ...$this->unindexed($users)];
    }

    /** Tell whether byUserIds() has found everybody who is there, with a number or without. */
    public function findsEveryone(): bool
    {
        return $this->rows->isIndexed();
    }

    /**
     * Where no index tells: contacts without a number, for people whose number is known; for the others,
     * those with whom they were found before.
     *
     * @param list<array{Vendor, Person}> $users
     *
     * @return list<stdClass>
     */
    private function unindexed(array $users): array
    {
        if ($this->rows->isIndexed()) {
            return [];
        }
        $ids = $hidden = [];
        foreach ($users as [$vendor, $person]) {
            if ($person->waId !== null) {
                $hidden[$vendor->id][] = (string) $person->userId;
            } else {
                $ids[] = $this->known->find($vendor->id, (string) $person->userId);
            }
        }

        return [
            ...$this->rows->byIds(array_values(array_filter($ids))),
            ...($hidden === [] ? [] : Union::rows($this->db, Union::byVendor(self::WITHOUT_NUMBER, $hidden))),
        ];
    }
}
