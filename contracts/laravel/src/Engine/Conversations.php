<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Bots\LoopMatcher;
use WhatsappSidecar\Laravel\Store\Bots;
use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Union;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * What answers to some messages depend on: each kind of it is read when it is first needed, for all of the
 * messages. They are answered in their order, and what comes of one counts for the later ones.
 */
final class Conversations
{
    /** Without what nobody may answer, a reaction say: it is nothing that the contact has written. */
    private const LATEST = 'SELECT contacts__id, created_at FROM {logs} WHERE contacts__id = ?'
        . " AND is_incoming_message = 1 AND JSON_EXTRACT(__data, '$.sidecar.unanswered') IS NULL"
        . ' ORDER BY _id DESC LIMIT 1';

    /** Without what belongs to no conversation of the two: reactions, system messages, groups. */
    private const HISTORY = 'SELECT _id, contacts__id, is_incoming_message, message FROM {logs} WHERE contacts__id = ?'
        . " AND message <> '' AND (is_incoming_message = 1 OR COALESCE(status, '') <> 'failed')"
        . " AND COALESCE(JSON_UNQUOTE(JSON_EXTRACT(__data, '$.sidecar.unanswered')), '')"
        . " NOT IN ('" . Answering::TYPE . "', '" . Answering::GROUP . "') ORDER BY _id DESC LIMIT ?";

    /** @var array<int, array<string, mixed>>|null the contract's VendorBots, by the vendor's `_id` */
    private ?array $bots = null;

    /** @var array<string, list<array<string, mixed>>> by the message's uid */
    private array $matches = [];

    /** @var array<int, array<string, ?string>>|null by the vendor's `_id` and the bot's uid */
    private ?array $texts = null;

    /** @var array<int, int>|null unix ms by the contact's `_id` */
    private ?array $latest = null;

    /** @var array<int, list<stdClass>>|null the oldest first, by the contact's `_id` */
    private ?array $history = null;

    /** @var array<int, list<stdClass>> what was said since, by the contact's `_id` */
    private array $said = [];

    /** @var array<int, array<string, int>> columns by the contact's `_id` */
    private array $switches = [];

    /** @param list<IncomingMessage> $messages those that bots may answer */
    public function __construct(
        private Database $db,
        private Bots $tables,
        private LoopMatcher $matcher,
        private int $nowMs,
        private array $messages
    ) {
    }

    /** @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}> whatever their contact wants */
    public function matches(IncomingMessage $message): array
    {
        return $this->matches[$message->uid] ??= $message->update->bots ?? $this->matcher->match(
            $this->botsOf($message),
            $message->text(),
            intdiv($this->nowMs, 1000)
        );
    }

    /**
     * Return what those of the bots reply that are active.
     *
     * @param list<string> $uids
     *
     * @return array<string, ?string> by the bot's uid
     */
    public function texts(IncomingMessage $message, array $uids): array
    {
        if ($uids === []) {
            return [];
        }
        if ($this->texts === null) {
            $vendorIds = $all = [];
            foreach ($this->messages as $one) {
                $matches = $this->matches($one);
                $vendorIds += $matches === [] ? [] : [$one->vendor->id => true];
                array_push($all, ...array_column($matches, 'bot_uid'));
            }
            $this->texts = $this->tables->replies(array_keys($vendorIds), array_values(array_unique($all)));
        }

        return array_intersect_key($this->texts[$message->vendor->id] ?? [], array_fill_keys($uids, true));
    }

    /** Return when the latest message of the contact's was stored before, in unix ms; 0 if there is none. */
    public function latestMs(IncomingMessage $message): int
    {
        if ($this->latest === null) {
            // Whoever has held the contact before may have stored one since this transaction began.
            $sql = self::LATEST . ($this->db->isRepeatable() ? ' LOCK IN SHARE MODE' : '');
            $isWelcome = fn (IncomingMessage $one): bool
                => in_array('welcome', array_column($this->matches($one), 'trigger_type'), true);
            $this->latest = [];
            foreach ($this->ofContacts($sql, $isWelcome) as $row) {
                $this->latest[(int) $row->contacts__id] = Time::ms($row->created_at) ?? 0;
            }
        }
        $said = array_column($this->said[$message->contact->id] ?? [], 'wrote_ms');

        return max([0, $this->latest[$message->contact->id] ?? 0, ...$said]);
    }

    /**
     * Return what was said before, the oldest first.
     *
     * @return list<stdClass> is_incoming_message and message
     */
    public function history(IncomingMessage $message, int $limit): array
    {
        if ($this->history === null) {
            $this->history = [];
            foreach ($this->ofContacts(self::HISTORY, [Question::class, 'mayAsk'], $limit) as $row) {
                $this->history[(int) $row->contacts__id][(int) $row->_id] = $row;
            }
            array_walk($this->history, static fn (array &$rows): bool => ksort($rows));
        }
        $isText = static fn (stdClass $row): bool => $row->message !== null;
        $before = [
            ...array_values($this->history[$message->contact->id] ?? []),
            ...array_filter($this->said[$message->contact->id] ?? [], $isText),
        ];

        return $limit === 0 ? [] : array_slice($before, -$limit);
    }

    /** Tell whether the contact wants no AI. */
    public function disablesAi(Contact $contact): bool
    {
        return (bool) ($this->switches[$contact->id]['disable_ai_bot'] ?? $contact->disableAiBot);
    }

    /** @param array<string, int> $columns what bots switch */
    public function switch(Contact $contact, array $columns): void
    {
        if ($columns !== []) {
            $this->switches[$contact->id] = array_replace($this->switches[$contact->id] ?? [], $columns);
        }
    }

    /** @return array<int, array<string, int>> the contacts' columns that bots have switched, by `_id` */
    public function switches(): array
    {
        return $this->switches;
    }

    /**
     * A message goes into the log.
     *
     * @param array<string, mixed> $row
     * @param string|null $unanswered why nobody may answer it
     */
    public function said(array $row, ?string $unanswered = null): void
    {
        $isTheirs = ! in_array($unanswered, [Answering::TYPE, Answering::GROUP], true);
        $this->said[$row['contacts__id']][] = (object) [
            'is_incoming_message' => $row['is_incoming_message'],
            // The database takes a text of spaces for an empty one.
            'message' => $isTheirs && rtrim((string) $row['message'], ' ') !== '' ? $row['message'] : null,
            'wrote_ms' => $row['is_incoming_message'] && $unanswered === null ? $this->nowMs : 0,
        ];
    }

    /** @return array<string, mixed> */
    private function botsOf(IncomingMessage $message): array
    {
        if ($this->bots === null) {
            $vendors = [];
            foreach ($this->messages as $one) {
                if ($one->update->bots === null) {
                    $vendors[$one->vendor->id] = $one->vendor;
                }
            }
            $this->bots = array_column($this->tables->of(array_values($vendors)), null, 'vendor_id');
        }

        return $this->bots[$message->vendor->id];
    }

    /**
     * Make a select for each contact of some messages; who is new has said nothing yet.
     *
     * @param callable(IncomingMessage): bool $isAbout
     *
     * @return list<stdClass>
     */
    private function ofContacts(string $sql, callable $isAbout, int ...$bindings): array
    {
        $selects = [];
        foreach ($this->messages as $message) {
            if (! $message->contact->isNew && $isAbout($message)) {
                $selects[$message->contact->id] = [$sql, [$message->contact->id, ...$bindings]];
            }
        }

        return Union::rows($this->db, array_values($selects));
    }
}
