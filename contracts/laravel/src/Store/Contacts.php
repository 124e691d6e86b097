<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Move;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Profile;

/**
 * A vendor's contacts: found by number or user id, or created. To be called in a transaction of the
 * package's: whoever is found is locked until it ends, so that nobody merges them away meanwhile.
 *
 * Where two contacts turn out to be one person, the one that has the person's number remains: groups,
 * imports and campaigns of the application know people by it. See MergeContacts.
 */
final class Contacts
{
    public function __construct(
        private Database $db,
        private Clock $clock,
        private ContactRows $rows,
        private HeldContacts $held,
        private MergeContacts $merge
    ) {
    }

    /**
     * Return the contact; null if there is nothing to know them by. A contact who was known by one of the
     * two ids learns the other.
     */
    public function findOrCreate(Vendor $vendor, Person $person, ?Profile $profile = null): ?Contact
    {
        if (! $person->isKnown()) {
            return null;
        }
        $row = $this->held->byNumber($vendor, $person->waId);
        if ($row !== null && ($person->userId === null || Contact::userId($row) === $person->userId)) {
            return $this->one($vendor, [$row], $person, $profile);
        }
        $other = $this->rows->byUserId($vendor, $person->userId, $person->waId !== null);
        if ($other !== null && Contact::userId($other) !== $person->userId) {
            // A message from before the user id changed came late.
            $person = new Person($person->waId);
        }

        return $this->one($vendor, [$row, $other], $person, $profile);
    }

    /**
     * Have whoever is known by the old ids, or by the new ones, be one contact with the new. Moves may come
     * in any order: who has gone on to another user id keeps that.
     */
    public function follow(Vendor $vendor, Move $move, ?Profile $profile = null): ?Contact
    {
        $found = [];
        foreach ([$move->new, $move->old] as $person) {
            $found[] = $this->held->byNumber($vendor, $person->waId);
        }
        $new = clone $move->new;
        foreach ([$move->new, $move->old] as $person) {
            $row = $this->rows->byUserId($vendor, $person->userId);
            $userId = $row === null ? null : Contact::userId($row);
            if (! in_array($userId, [null, $move->new->userId, $move->old->userId], true)) {
                $new->userId = $userId;
            }
            $found[] = $row;
        }

        return $this->one($vendor, $found, $new, $profile, $move->old);
    }

    /** Create the contact, or take over the names that are given. */
    public function upsert(Vendor $vendor, Person $person, ?string $fullName, ?string $firstName): void
    {
        $contact = $this->findOrCreate($vendor, $person);
        if ($contact === null) {
            return;
        }
        $names = self::split($fullName);
        $names['first_name'] = $firstName === null ? $names['first_name'] : self::cut($firstName);
        $this->db->change(
            'UPDATE {contacts} SET first_name = COALESCE(?, first_name), last_name = COALESCE(?, last_name),'
                . ' updated_at = ? WHERE _id = ?',
            [$names['first_name'], $names['last_name'], $this->now(), $contact->id]
        );
    }

    /**
     * Have bots' switches change the contact.
     *
     * @param array<string, int> $columns
     */
    public function change(int $id, array $columns): void
    {
        $assigned = static fn (string $name): string => ", {$name} = ?";
        $assignments = implode('', array_map($assigned, array_keys($columns)));
        $this->db->change(
            "UPDATE {contacts} SET updated_at = ?{$assignments} WHERE _id = ?",
            [$this->now(), ...array_values($columns), $id]
        );
    }

    /**
     * Make one contact of those that were found, the first of which remains, and have it learn who it is. A
     * new one is found later also by the user id that it was known by.
     *
     * @param list<?stdClass> $found
     */
    private function one(
        Vendor $vendor,
        array $found,
        Person $person,
        ?Profile $profile,
        ?Person $old = null
    ): ?Contact {
        $rows = [];
        foreach (array_filter($found) as $row) {
            $rows[(int) $row->_id] ??= $row;
        }
        $kept = array_shift($rows);
        if ($kept === null) {
            return $person->isKnown() ? $this->made($vendor, $person, $profile, $old) : null;
        }
        $this->held->hold([$kept, ...$rows]);
        $patch = self::news($kept, $person, $profile);
        if ($rows === [] && $patch === []) {
            return Contact::ofRow($kept);
        }
        foreach ($rows as $other) {
            $this->merge->into((int) $kept->_id, $kept->_uid, (int) $other->_id, $this->now());
        }
        $this->learn((int) $kept->_id, $patch);

        return Contact::ofRow($this->held->written($kept->_uid));
    }

    /**
     * Return what a contact does not know yet: `wa_id`, and what stands in `__data`.
     *
     * @return array<string, ?string>
     */
    public static function news(stdClass $row, Person $person, ?Profile $profile): array
    {
        $known = Json::object($row->__data);
        $forms = $person->waId === null ? [] : Person::numberForms($person->waId);
        $number = Person::phoneDigits((string) $row->wa_id);
        $news = [];
        if ($person->waId !== null && ! in_array($number, $forms, true)) {
            $news['wa_id'] = $person->waId;
        } elseif ($number === null && (string) $row->wa_id !== '') {
            // A user id that was taken for a number.
            $news['wa_id'] = null;
        }
        $said = [
            'user_id' => $person->userId ?? Contact::userId($row),
            'parent_user_id' => $profile?->parentUserId,
            'username' => $profile?->username,
        ];
        foreach (array_filter($said, 'is_string') as $name => $value) {
            if (($known->{$name} ?? null) !== $value) {
                $news[$name] = $value;
            }
        }

        return $news;
    }

    /** @param array<string, ?string> $news */
    private function learn(int $id, array $news): void
    {
        if ($news === []) {
            return;
        }
        $number = array_key_exists('wa_id', $news) ? ', wa_id = ?' : '';
        $this->db->change(
            "UPDATE {contacts} SET updated_at = ?, __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?){$number}"
                . ' WHERE _id = ?',
            [
                $this->now(),
                Json::dump((object) array_diff_key($news, ['wa_id' => true])),
                ...($number === '' ? [] : [$news['wa_id']]),
                $id,
            ]
        );
    }

    private function made(Vendor $vendor, Person $person, ?Profile $profile, ?Person $old): ?Contact
    {
        $named = $person->waId === null && isset($old->userId) ? new Person(null, $old->userId) : $person;
        $row = $this->insert($vendor, $person, $profile, $named);

        // Another call may have made it at the same moment, by the user id that it had before.
        return $old !== null && Contact::userId($row) !== $person->userId
            ? $this->one($vendor, [$row], $person, $profile)
            : Contact::ofRow($row);
    }

    /** @param Person $named whom the _uid follows from */
    private function insert(Vendor $vendor, Person $person, ?Profile $profile, Person $named): stdClass
    {
        // The _uid follows from who it is, so that two calls at the same moment make one contact. Whoever
        // has had the number before may have that _uid still.
        for ($attempt = 0;; $attempt++) {
            $uid = ContactRows::uid($vendor, $named, $attempt);
            $this->db->insertMissing('contacts', [self::columns($uid, $vendor, $person, $profile, $this->now())]);
            $row = $this->held->written($uid);
            // A user id is nobody else's later.
            if ($named->waId === null || in_array($row->wa_id, Person::numberForms($named->waId), true)) {
                return ContactRows::isMerged($row) ? throw new ChangedMeanwhile() : $row;
            }
        }
    }

    /** @return array<string, mixed> those of a new contact's row */
    public static function columns(
        string $uid,
        Vendor $vendor,
        Person $person,
        ?Profile $profile,
        string $now
    ): array {
        $names = self::split($profile?->name);
        $data = array_filter([
            'user_id' => $person->userId,
            'parent_user_id' => $profile?->parentUserId,
            'username' => $profile?->username,
        ], 'is_string');

        return [
            '_uid' => $uid,
            'created_at' => $now,
            'updated_at' => $now,
            'vendors__id' => $vendor->id,
            'wa_id' => $person->waId,
            'first_name' => $names['first_name'],
            'last_name' => $names['last_name'],
            '__data' => $data === [] ? null : Json::dump($data),
        ];
    }

    /** @return array{first_name: ?string, last_name: ?string} */
    private static function split(?string $name): array
    {
        [$first, $last] = explode(' ', trim($name ?? ''), 2) + [1 => ''];

        return ['first_name' => self::cut($first), 'last_name' => self::cut(trim($last))];
    }

    private static function cut(string $name): ?string
    {
        return $name === '' ? null : Columns::fit('contacts', 'first_name', $name);
    }

    private function now(): string
    {
        return Time::text($this->clock->nowMs());
    }
}
