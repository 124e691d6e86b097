<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Webhook\Person;

/** Which rows of contacts people are, of whom several are asked for at once; a person is found as by Contacts. */
final class FoundPeople
{
    /** @var array<int, stdClass> by `_id` */
    private array $rows = [];

    /** @var array<string, stdClass> by vendor and number */
    private array $byNumber = [];

    /** @var array<string, ?stdClass> by vendor and user id, of those that were looked up; null where nobody has it */
    private array $byUser = [];

    /** @var array<string, stdClass> which of them stand where a stranger's row would */
    private array $byUid = [];

    /** @var array<int, true> vendors of a contact whose number is the same to the database alone */
    private array $unclear = [];

    /** @param list<array{Vendor, Person}> $people all who may be asked for */
    public function __construct(private PeopleRows $reads, array $people)
    {
        $this->readNumbers($people);
        $this->readUsers($people);
    }

    /**
     * Return the person's row, null for a stranger.
     *
     * @throws Apart if that takes more than these rows, or there are two
     */
    public function find(Vendor $vendor, Person $person): ?stdClass
    {
        $row = $this->ofNumber($vendor, $person);
        if ($row !== null && in_array($person->userId, [null, Contact::userId($row)], true)) {
            return $row;
        }
        $other = $this->ofUser($vendor, $person);
        $isClear = $row !== null || ! isset($this->unclear[$vendor->id]);
        $isOne = $row === null || $other === null || $other === $row;
        $isFree = ($row ?? $other) !== null || ! isset($this->byUid[ContactRows::uid($vendor, $person)]);

        return $isClear && $isOne && $isFree ? $row ?? $other : throw new Apart();
    }

    /** From now on, this is who has the ids that stand in the row. */
    public function add(stdClass $row): void
    {
        $vendorId = (int) $row->vendors__id;
        $userId = Contact::userId($row);
        if ($userId !== null) {
            $this->byUser["{$vendorId} {$userId}"] = $row;
        }
        if ($row->wa_id !== null) {
            $this->byNumber["{$vendorId} {$row->wa_id}"] ??= $row;
        }
    }

    private function ofNumber(Vendor $vendor, Person $person): ?stdClass
    {
        foreach ($person->waId === null ? [] : Person::numberForms($person->waId) as $form) {
            if (isset($this->byNumber["{$vendor->id} {$form}"])) {
                return $this->byNumber["{$vendor->id} {$form}"];
            }
        }

        return null;
    }

    private function ofUser(Vendor $vendor, Person $person): ?stdClass
    {
        if ($person->userId === null) {
            return null;
        }
        $key = "{$vendor->id} {$person->userId}";
        $row = $this->byUser[$key] ?? null;
        // Without an index, who hides the number may be any of the vendor's contacts.
        $isSure = array_key_exists($key, $this->byUser)
            && ($person->waId !== null || $this->reads->findsEveryone())
            && ! isset($this->byUid[ContactRows::uid($vendor, new Person(null, $person->userId))]);

        // Who has another user id by now is still known to have had this one.
        $isTheirs = $row === null || Contact::userId($row) === $person->userId;

        return ($row !== null || $isSure) && $isTheirs ? $row : throw new Apart();
    }

    /** @param list<array{Vendor, Person}> $people */
    private function readNumbers(array $people): void
    {
        $numbers = $wanted = [];
        foreach ($people as [$vendor, $person]) {
            foreach ($person->waId === null ? [] : Person::numberForms($person->waId) as $form) {
                $numbers[$vendor->id][] = $form;
                $wanted["{$vendor->id} {$form}"] = true;
            }
        }
        foreach ($this->kept($this->reads->byNumbers($numbers)) as $row) {
            $key = "{$row->vendors__id} {$row->wa_id}";
            if (isset($wanted[$key])) {
                $this->byNumber[$key] ??= $row;
            } else {
                $this->unclear[(int) $row->vendors__id] = true;
            }
        }
    }

    /**
     * Read those with a user id who were not found by the number, and what stands in the way of strangers.
     *
     * @param list<array{Vendor, Person}> $people
     */
    private function readUsers(array $people): void
    {
        $users = $uids = [];
        foreach ($people as [$vendor, $person]) {
            $row = $this->ofNumber($vendor, $person);
            if ($row === null && $person->waId !== null) {
                $uids[] = ContactRows::uid($vendor, $person);
            }
            if ($person->userId !== null && ($row === null || Contact::userId($row) !== $person->userId)) {
                $users[] = [$vendor, $person];
                $this->byUser["{$vendor->id} {$person->userId}"] = null;
            }
        }
        $found = $users === [] && $uids === [] ? [] : $this->reads->byUserIds($users, $uids);
        foreach ($this->kept($found) as $row) {
            $this->byUid[$row->_uid] = $row;
            $key = "{$row->vendors__id} " . Contact::userId($row);
            if (array_key_exists($key, $this->byUser)) {
                $this->byUser[$key] ??= $row;
            }
        }
    }

    /**
     * Return one object for each row, however often it was read, the oldest first.
     *
     * @param list<stdClass> $rows
     *
     * @return list<stdClass>
     */
    private function kept(array $rows): array
    {
        $kept = [];
        foreach ($rows as $row) {
            $kept[(int) $row->_id] = $this->rows[(int) $row->_id] ??= $row;
        }
        ksort($kept);

        return array_values($kept);
    }
}
