<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Profile;

/**
 * The contacts of messages that are stored together, in one transaction: found, created and told what is new
 * of them, as Contacts does it one by one, in a constant number of statements. For who takes more, Apart is
 * thrown, before anything has changed.
 */
final class ContactBatch
{
    private const CHANGES = [
        'wa_id' => 'VARCHAR(45)',
        'has_wa_id' => 'TINYINT',
        'patch' => 'LONGTEXT',
        'whatsapp_opt_out' => 'TINYINT',
        'disable_ai_bot' => 'TINYINT',
    ];

    private const CHANGE = 'old.updated_at = ?, old.wa_id = IF(new.has_wa_id = 1, new.wa_id, old.wa_id),'
        . ' old.whatsapp_opt_out = COALESCE(new.whatsapp_opt_out, old.whatsapp_opt_out),'
        . ' old.disable_ai_bot = COALESCE(new.disable_ai_bot, old.disable_ai_bot),'
        . ' old.__data = IF(new.patch IS NULL, old.__data,'
        . " JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch))";

    /** What the row of a stranger has besides the columns that are inserted. */
    private const UNWRITTEN = ['_id' => null, 'disable_reply_bot' => null, 'disable_ai_bot' => null];

    private FoundPeople $found;

    /** @var array<string, stdClass> rows that are to be inserted, by `_uid` */
    private array $new = [];

    /** @var array<int, stdClass> rows of the table that are somebody's, by `_id`, as they were read */
    private array $used = [];

    /** @var array<int, array<string, ?string>> what they have learnt, by `_id` */
    private array $news = [];

    /** @var list<array{Contact, stdClass}> */
    private array $contacts = [];

    /** @param list<array{Vendor, Person}> $people all who may be asked for */
    public function __construct(
        private Database $db,
        private HeldContacts $held,
        private string $now,
        PeopleRows $rows,
        array $people
    ) {
        $this->found = new FoundPeople($rows, $people);
    }

    /**
     * Return the contact, as what was said so far has made it; null if there is nothing to know them by. One that
     * is new has no `_id` yet.
     *
     * @throws Apart
     */
    public function of(Vendor $vendor, Person $person, Profile $profile): ?Contact
    {
        if (! $person->isKnown()) {
            return null;
        }
        $row = $this->found->find($vendor, $person) ?? $this->stranger($vendor, $person, $profile);
        $news = Contacts::news($row, $person, $profile);
        if (array_key_exists('wa_id', $news) && Person::phoneDigits((string) $row->wa_id) !== null) {
            // Nobody has the number any more by which others of these messages may know the contact.
            throw new Apart();
        }
        $this->learn($row, $news);
        $contact = Contact::ofRow($row);
        $this->contacts[] = [$contact, $row];

        return $contact;
    }

    private function stranger(Vendor $vendor, Person $person, Profile $profile): stdClass
    {
        $uid = ContactRows::uid($vendor, $person);

        return $this->new[$uid] = (object) (
            Contacts::columns($uid, $vendor, $person, $profile, $this->now) + self::UNWRITTEN
        );
    }

    /** @param array<string, ?string> $news */
    private function learn(stdClass $row, array $news): void
    {
        if ($row->_id !== null) {
            $this->used[(int) $row->_id] ??= clone $row;
            $this->news[(int) $row->_id] = array_replace($this->news[(int) $row->_id] ?? [], $news);
        }
        if (array_key_exists('wa_id', $news)) {
            $row->wa_id = $news['wa_id'];
            unset($news['wa_id']);
        }
        if ($news !== []) {
            $row->__data = Json::dump((object) array_replace((array) Json::object($row->__data), $news));
        }
        $this->found->add($row);
    }

    /**
     * Lock those that are there, and insert those that are not.
     *
     * @throws ChangedMeanwhile
     */
    public function hold(): void
    {
        $this->held->hold(array_values($this->used));
        ksort($this->new);
        $this->db->insertMissing('contacts', array_map(
            static fn (stdClass $row): array => array_diff_key((array) $row, self::UNWRITTEN),
            array_values($this->new)
        ));
        foreach ($this->held->allWritten(array_keys($this->new)) as $row) {
            $meant = $this->new[$row->_uid];
            if ([$row->wa_id, Contact::userId($row)] !== [$meant->wa_id, Contact::userId($meant)]) {
                // Another call has made it at the same moment, of which something else was known.
                throw new ChangedMeanwhile();
            }
            $meant->_id = (int) $row->_id;
        }
        foreach ($this->contacts as [$contact, $row]) {
            $contact->id = (int) ($row->_id ?? throw new ChangedMeanwhile());
            $contact->isNew = isset($this->new[$row->_uid]);
        }
    }

    /**
     * Write what was learnt, and what bots' switches change.
     *
     * @param array<int, array<string, int>> $switches columns by the contact's `_id`
     */
    public function write(array $switches): void
    {
        $changes = [];
        foreach (array_keys(array_filter($this->news) + $switches) as $id) {
            $news = $this->news[$id] ?? [];
            $patch = array_diff_key($news, ['wa_id' => true]);
            $changes[] = ($switches[$id] ?? []) + [
                'id' => $id,
                'wa_id' => $news['wa_id'] ?? null,
                'has_wa_id' => (int) array_key_exists('wa_id', $news),
                'patch' => $patch === [] ? null : Json::dump($patch),
            ];
        }
        $this->db->changeEach('contacts', self::CHANGES, self::CHANGE, [$this->now], $changes);
    }
}
