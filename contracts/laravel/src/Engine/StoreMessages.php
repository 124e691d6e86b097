<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Apart;
use WhatsappSidecar\Laravel\Store\ContactBatch;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\HeldContacts;
use WhatsappSidecar\Laravel\Store\PeopleRows;
use WhatsappSidecar\Laravel\Store\Union;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Stores messages in the log together, with their contacts and what bots answer to them, in a constant number of
 * statements and one transaction. What StoreMessage makes of one by one is made of them here.
 */
final class StoreMessages
{
    private const QUOTED = 'SELECT _uid, vendors__id, wamid FROM {logs} WHERE vendors__id = ? AND wamid IN (%s)';

    public function __construct(
        private Database $db,
        private PeopleRows $people,
        private HeldContacts $held,
        private MessageEffects $effects,
        private KeptEffects $kept,
        private Clock $clock
    ) {
    }

    /**
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, Outcome> of the first of them, as AppliesTogether says
     */
    public function store(array $updates): array
    {
        $nowMs = $this->clock->nowMs();
        $messages = $refused = [];
        foreach ($updates as $position => [$vendor, $update]) {
            $message = new MessageUpdate($vendor, $update, $nowMs);
            $refusal = $message->refusal();
            if ($refusal !== null) {
                $refused[$position] = $refusal;
            } elseif ($message->standsAlone()) {
                break;
            } else {
                $messages[$position] = $message;
            }
        }
        $stored = $messages === []
            ? []
            : $this->db->transaction(fn (): array => $this->together($messages, Time::text($nowMs)));
        $end = array_key_first(array_diff_key($messages, $stored)) ?? PHP_INT_MAX;
        $isBefore = static fn (int $position): bool => $position < $end;

        return $stored + array_filter($refused, $isBefore, ARRAY_FILTER_USE_KEY);
    }

    /**
     * @param array<int, MessageUpdate> $messages
     *
     * @return array<int, Outcome> of the first of them
     */
    private function together(array $messages, string $now): array
    {
        $people = array_map(static fn (MessageUpdate $one): array => [$one->vendor, $one->person], $messages);
        $contacts = new ContactBatch($this->db, $this->held, $now, $this->people, array_values($people));
        $outcomes = [];
        foreach ($messages as $position => $message) {
            try {
                $contact = $contacts->of($message->vendor, $message->person, $message->profile());
            } catch (Apart) {
                $messages = array_slice($messages, 0, array_search($position, array_keys($messages), true), true);
                break;
            }
            if ($contact === null) {
                $outcomes[$position] = Outcome::ignored('contact_without_id');
            } else {
                $message->contact = $contact;
            }
        }
        $known = array_diff_key($messages, $outcomes);

        return $outcomes + ($known === [] ? [] : $this->insert($known, $contacts));
    }

    /**
     * @param array<int, MessageUpdate> $messages not empty
     *
     * @return array<int, Outcome>
     */
    private function insert(array $messages, ContactBatch $contacts): array
    {
        $contacts->hold();
        $uids = $this->quoted($messages);
        $incoming = array_map(static fn (MessageUpdate $one): ?IncomingMessage => $one->incoming(), $messages);
        $conversations = $this->effects->conversations(array_values(array_filter($incoming)));
        $rows = $effects = $outcomes = [];
        foreach ($messages as $position => $message) {
            [$asked, $replies, $data] = $this->effects->of($message, $incoming[$position], $conversations);
            $row = $message->row($uids["{$message->vendor->id} {$message->quoted()}"] ?? null, $data);
            $uids["{$message->vendor->id} {$row['wamid']}"] ??= $row['_uid'];
            $conversations->said($row, $data['sidecar']['unanswered'] ?? null);
            array_map([$conversations, 'said'], $replies);
            array_push($rows, $row, ...$replies);
            $effects[$row['_uid']] = $asked;
            $outcomes[$position] = Outcome::done($asked);
        }
        if (! $this->db->insertMissing('logs', $rows) && ! $this->kept->areAll($effects)) {
            throw new StoredMeanwhile();
        }
        $contacts->write($conversations->switches());

        return $outcomes;
    }

    /**
     * Return the `_uid`s of the messages that replies and reactions name, by vendor and wamid.
     *
     * @param array<int, MessageUpdate> $messages
     *
     * @return array<string, string>
     */
    private function quoted(array $messages): array
    {
        $wamids = $uids = [];
        foreach ($messages as $message) {
            if ($message->quoted() !== null) {
                $wamids[$message->vendor->id][] = $message->quoted();
            }
        }
        foreach (Union::rows($this->db, Union::byVendor(self::QUOTED, $wamids)) as $row) {
            $uids["{$row->vendors__id} {$row->wamid}"] ??= $row->_uid;
        }

        return $uids;
    }
}
