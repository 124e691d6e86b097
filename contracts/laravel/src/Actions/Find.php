<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Found;
use WhatsappSidecar\Laravel\Store\Recipient;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Webhook\Person;

/** Tells what the tables know of whatever a query names: a message, a person, a campaign or a vendor. */
final class Find
{
    private const MAX_FOUND = 100;

    private const MIN_LENGTH = 2;

    private const MAX_LENGTH = 300;

    /** Rows of a table, the newest, whose titles or names are looked at: no index leads to those. */
    private const NEWEST = 10000;

    private const UID = '/\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z/i';

    private const MESSAGES = 'SELECT logs.*, vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid'
        . ' FROM (%s) AS found'
        . ' STRAIGHT_JOIN {logs} AS logs ON logs._id = found._id'
        . ' STRAIGHT_JOIN {vendors} AS vendors ON vendors._id = logs.vendors__id'
        . ' LEFT JOIN {campaigns} AS campaigns ON campaigns._id = logs.campaigns__id'
        . ' WHERE vendors._uid = COALESCE(?, vendors._uid) ORDER BY found._id DESC LIMIT ?';

    private const ROWS = 'SELECT queue.*, vendors._uid AS vendor_uid, campaigns._uid AS campaign_uid, '
        . Recipient::USER_ID_OF_CONTACT . ' AS user_id FROM (%s) AS found'
        . ' STRAIGHT_JOIN {queue} AS queue ON queue._id = found._id'
        . ' STRAIGHT_JOIN {vendors} AS vendors ON vendors._id = queue.vendors__id'
        . ' LEFT JOIN {contacts} AS contacts ON contacts._id = queue.contacts__id'
        . ' LEFT JOIN {campaigns} AS campaigns ON campaigns._id = queue.campaigns__id'
        . ' WHERE vendors._uid = COALESCE(?, vendors._uid) ORDER BY found._id DESC LIMIT ?';

    /** In the order of contact and `_id` rows are read from their ends in the index, and not by `_id` from all. */
    private const OF_CONTACTS = '(SELECT _id FROM {%s} WHERE contacts__id IN (%s)'
        . ' ORDER BY contacts__id DESC, _id DESC LIMIT ?)';

    private string $query;

    private ?string $vendorUid;

    private int $limit;

    /** @var list<string> forms of the number that the query is */
    private array $numbers;

    /** What titles and names are to be like; null of what is no name. */
    private ?string $pattern;

    /** @var list<string> */
    private array $more = [];

    /** @var array<string, int> */
    private array $lookedAt = [];

    public function __construct(private Database $db, private Clock $clock)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $this->read(Input::ofBody($body, ['query', 'vendor_uid', 'limit']));
        $vendors = $this->named('vendors', 'vendors.title');
        $campaigns = $this->named('campaigns', 'campaigns.title');
        $contacts = $this->named('contacts', "CONCAT_WS(' ', contacts.first_name, contacts.last_name)", $this->numbers);
        $contactIds = array_map('intval', array_column($contacts, '_id'));
        $messages = $this->messages($contactIds);
        $found = new Found($this->clock->nowMs());

        return [
            'vendors' => array_map([$found, 'vendor'], $vendors),
            'campaigns' => array_map([$found, 'campaign'], $campaigns),
            'contacts' => array_map([$found, 'contact'], $contacts),
            'rows' => array_map([$found, 'row'], $this->rows($contactIds, $messages)),
            'messages' => array_map([$found, 'message'], [...$messages, ...$this->related($messages)]),
            'more' => $this->more,
            'looked_at' => (object) $this->lookedAt,
        ];
    }

    private function read(Input $input): void
    {
        $query = $input->text('query');
        if (mb_strlen($query) < self::MIN_LENGTH || mb_strlen($query) > self::MAX_LENGTH) {
            throw Refused::invalid('query: must have from 2 to 300 characters');
        }
        $this->query = trim($query);
        $this->vendorUid = $input->optionalText('vendor_uid');
        $this->limit = $input->integer('limit', 1, self::MAX_FOUND, 20);
        $digits = (string) preg_replace('/[\s+().-]/', '', $this->query);
        $this->numbers = preg_match('/\A[0-9]{5,20}\z/', $digits) === 1 ? Person::numberForms($digits) : [];
        $isName = $this->numbers === [] && strncmp($this->query, 'wamid.', 6) !== 0
            && preg_match(self::UID, $this->query) !== 1;
        $this->pattern = $isName ? '%' . preg_replace('/[%_!]/', '!$0', $this->query) . '%' : null;
    }

    /**
     * Return rows of a table with this `_uid`, or number, or whose title is like it.
     *
     * @param list<string> $numbers
     *
     * @return list<stdClass>
     */
    private function named(string $table, string $title, array $numbers = []): array
    {
        $parts = ["SELECT _id FROM {{$table}} WHERE _uid = ?"];
        $bindings = [$this->query];
        if ($numbers !== []) {
            $parts[] = "SELECT _id FROM {{$table}} WHERE wa_id IN (" . Database::marks($numbers) . ')';
            array_push($bindings, ...$numbers);
        }
        if ($this->pattern !== null) {
            [$newest, $own] = $this->newest($table);
            $title = str_replace("{$table}.", 'newest.', $title);
            $parts[] = "SELECT newest._id FROM ({$newest}) AS newest WHERE {$title} LIKE ? ESCAPE '!'";
            array_push($bindings, ...[...$own, $this->pattern]);
        }
        $vendor = $table === 'vendors' ? 'vendors' : "{$table}.vendors__id";
        $join = $table === 'vendors' ? '' : " JOIN {vendors} AS vendors ON vendors._id = {$vendor}";
        $rows = $this->db->rows(
            "SELECT {$table}.*, vendors._uid AS vendor_uid FROM (" . implode(' UNION ', $parts) . ') AS found'
                . " STRAIGHT_JOIN {{$table}} AS {$table} ON {$table}._id = found._id{$join}"
                . ' WHERE vendors._uid = COALESCE(?, vendors._uid) ORDER BY found._id DESC LIMIT ?',
            [...$bindings, $this->vendorUid, $this->limit + 1]
        );

        return $this->cut($table, $rows);
    }

    /**
     * Return what reads the newest rows of a table, of one vendor where it is about one, and its bindings. Notes
     * if there are more.
     *
     * @return array{string, list<mixed>}
     */
    private function newest(string $table): array
    {
        $columns = $table === 'contacts' ? '_id, first_name, last_name' : '_id, title';
        $limit = self::NEWEST;
        if ($table !== 'vendors' && $this->vendorUid !== null) {
            $where = 'vendors__id = (SELECT _id FROM {vendors} WHERE _uid = ?) ORDER BY _id DESC';
            $earlier = "{$where} LIMIT 1 OFFSET {$limit}";
            $bindings = [$this->vendorUid];
        } else {
            // A range of `_id`, which is found by its ends whatever the optimizer thinks of an order.
            $first = "(SELECT GREATEST(CAST(MAX(_id) AS SIGNED) - {$limit}, 0) FROM {{$table}})";
            $where = "_id > {$first}";
            $earlier = "_id <= {$first} LIMIT 1";
            $bindings = [];
        }
        if ($this->db->row("SELECT _id FROM {{$table}} WHERE {$earlier}", $bindings) !== null) {
            $this->lookedAt[$table] = $limit;
        }

        return ["SELECT {$columns} FROM {{$table}} WHERE {$where} LIMIT {$limit}", $bindings];
    }

    /**
     * @param list<int> $contactIds
     *
     * @return list<stdClass>
     */
    private function messages(array $contactIds): array
    {
        $parts = ['SELECT _id FROM {logs} WHERE ' . Wamid::SAME, 'SELECT _id FROM {logs} WHERE _uid = ?'];
        $bindings = [...Wamid::same($this->query), $this->query];
        $this->ofContacts('logs', $contactIds, $parts, $bindings);
        $sql = sprintf(self::MESSAGES, implode(' UNION ', $parts));

        return $this->cut('messages', $this->db->rows($sql, [...$bindings, $this->vendorUid, $this->limit + 1]));
    }

    /**
     * Return the messages that these have asked for, and those that these answer.
     *
     * @param list<stdClass> $messages
     *
     * @return list<stdClass>
     */
    private function related(array $messages): array
    {
        $uids = array_merge([], ...array_map([Found::class, 'relatedUids'], $messages));
        $uids = array_values(array_diff(array_unique($uids), array_column($messages, '_uid')));
        $sql = sprintf(self::MESSAGES, 'SELECT _id FROM {logs} WHERE _uid IN (' . Database::marks($uids) . ')');

        return $this->db->rows($sql, [...$uids, $this->vendorUid, $this->limit]);
    }

    /**
     * @param list<int> $contactIds
     * @param list<stdClass> $messages whose rows are wanted too
     *
     * @return list<stdClass>
     */
    private function rows(array $contactIds, array $messages): array
    {
        $uids = [$this->query, ...array_values(array_filter(array_map([Found::class, 'queueRowUid'], $messages)))];
        $numbers = array_merge([], ...array_map(static fn (string $n): array => [$n, "+{$n}"], $this->numbers));
        $parts = ['SELECT _id FROM {queue} WHERE _uid IN (' . Database::marks($uids) . ')'];
        $bindings = $uids;
        if ($numbers !== []) {
            $parts[] = '(SELECT _id FROM {queue} WHERE phone_with_country_code IN (' . Database::marks($numbers) . ')'
                . ' ORDER BY phone_with_country_code DESC, _id DESC LIMIT ?)';
            array_push($bindings, ...[...$numbers, $this->limit + 1]);
        }
        $this->ofContacts('queue', $contactIds, $parts, $bindings);
        $sql = sprintf(self::ROWS, implode(' UNION ', $parts));

        return $this->cut('rows', $this->db->rows($sql, [...$bindings, $this->vendorUid, $this->limit + 1]));
    }

    /**
     * @param list<int> $contactIds
     * @param list<string> $parts
     * @param list<mixed> $bindings
     */
    private function ofContacts(string $table, array $contactIds, array &$parts, array &$bindings): void
    {
        if ($contactIds !== []) {
            $parts[] = sprintf(self::OF_CONTACTS, $table, Database::marks($contactIds));
            array_push($bindings, ...[...$contactIds, $this->limit + 1]);
        }
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return list<stdClass>
     */
    private function cut(string $name, array $rows): array
    {
        if (count($rows) > $this->limit) {
            $this->more[] = $name;
        }

        return array_slice($rows, 0, $this->limit);
    }
}
