<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Answers;

use stdClass;
use WhatsappSidecar\Laravel\Effects\PendingMessages;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Text;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;

/**
 * Answers that are taken together, in one transaction. A question is the customer's message itself; what
 * was decided about its answer is kept in `__data.sidecar.answer` of that row, and holds.
 */
final class AnswerBatch
{
    /** Two calls about one question take turns, and the second reads what the first has decided. */
    private const LOCK = 'SELECT _id FROM {logs} WHERE _uid IN (%s) ORDER BY _uid FOR UPDATE';

    /** @var array<string, stdClass> by vendor and uid */
    private array $questions = [];

    /** @var array<string, stdClass> effects of messages of earlier answers, by uid */
    private array $pending = [];

    /** @var list<array<string, mixed>> */
    private array $rows = [];

    /** @var array<int, array{id: int, patch: string}> */
    private array $decided = [];

    private string $now;

    /**
     * @param array<string, Vendor> $vendors
     * @param list<AiAnswer> $answers
     */
    public function __construct(
        private Database $db,
        private PendingMessages $messages,
        private array $vendors,
        private array $answers,
        private int $nowMs,
        private Answering $answering
    ) {
        $this->now = Time::text($nowMs);
    }

    /** @return list<Outcome> */
    public function apply(): array
    {
        $this->read();
        $outcomes = array_map(fn (AiAnswer $answer): Outcome => $this->decide($answer), $this->answers);
        $this->messages->store($this->rows);
        $this->db->changeEach(
            'logs',
            ['patch' => 'LONGTEXT'],
            "old.updated_at = ?, old.__data = JSON_MERGE_PATCH(COALESCE(old.__data, '{}'), new.patch)",
            [$this->now],
            array_values($this->decided)
        );

        return $outcomes;
    }

    private function read(): void
    {
        $uids = array_values(array_unique(array_column($this->answers, 'id')));
        $sent = [];
        $this->db->rows(sprintf(self::LOCK, Database::marks($uids)), $uids);
        foreach ((new Questions($this->db))->rows($uids) as $row) {
            $this->questions["{$row->vendors__id} {$row->_uid}"] = $row;
            array_push($sent, ...(Json::section($row->sidecar, 'answer')->messages ?? []));
        }
        $this->pending = $this->messages->effects($sent);
    }

    private function decide(AiAnswer $answer): Outcome
    {
        $vendor = $this->vendors[$answer->vendorUid] ?? null;
        if ($vendor === null) {
            return Outcome::ignored('vendor_unknown');
        }
        $question = $this->questions["{$vendor->id} {$answer->id}"] ?? null;
        if ($question === null) {
            return Outcome::ignored('question_unknown');
        }
        if (isset($question->sidecar->answer)) {
            return $this->again($question->sidecar->answer);
        }
        $reason = Questions::lateness($question, $this->nowMs);
        if ($reason !== null) {
            $this->keep($question, $answer, [], $reason);

            return Outcome::ignored($reason);
        }
        $effects = $this->effects($vendor, $question, $answer);
        $this->keep($question, $answer, array_column($effects, 'id'));

        return Outcome::done($effects);
    }

    /** Return what was decided before, with the messages that still wait to be sent. */
    private function again(stdClass $kept): Outcome
    {
        $reason = Envelope::text($kept->ignored ?? null);
        $effects = array_map(fn (string $uid): ?stdClass => $this->pending[$uid] ?? null, $kept->messages ?? []);

        return $reason === null ? Outcome::done(array_values(array_filter($effects))) : Outcome::ignored($reason);
    }

    /** @return list<array<string, mixed>> */
    private function effects(Vendor $vendor, stdClass $question, AiAnswer $answer): array
    {
        $text = $answer->isFailure()
            ? $vendor->setting('ai_bot_failure_message')
            : ($answer->outcome === 'answered' ? $answer->text : null);
        $contact = (object) ['wa_id' => $question->wa_id, '__data' => $question->contact_data];
        $address = Contact::addressOfRow($contact);
        $effects = [];
        foreach ($address === null ? [] : Text::pieces((string) $text) as $place => $piece) {
            $effects[] = $effect = [
                'kind' => 'send_message',
                'id' => Uuid::of(Uuid::EFFECTS, "{$vendor->uid}:answer:{$answer->id}:{$place}"),
            ] + $address + [
                'message' => ['type' => 'text', 'text' => ['body' => $piece]],
                'phone_number_id' => $question->wab_phone_number_id,
                'expires_at' => $this->answering->expiresAt($this->nowMs, Questions::until($question)),
            ];
            $this->rows[] = PendingMessages::row($vendor, $effect, (int) $question->contacts__id, 'ai', $this->now);
        }

        return $effects;
    }

    /**
     * Keep what was decided; the question itself is not needed any more.
     *
     * @param list<string> $messages
     */
    private function keep(stdClass $question, AiAnswer $answer, array $messages, ?string $ignored = null): void
    {
        $effects = array_filter(
            Envelope::objects($question->sidecar->effects ?? null),
            static fn (stdClass $effect): bool => $effect->kind !== 'ai_reply'
        );
        $kept = [
            'outcome' => $answer->outcome,
            'at' => $answer->at,
            'error' => $answer->error,
            'usage' => Json::shallow($answer->usage),
            'messages' => $messages,
            'ignored' => $ignored,
        ];
        $this->decided[(int) $question->_id] = [
            'id' => (int) $question->_id,
            'patch' => Json::dump(['sidecar' => ['effects' => array_values($effects), 'answer' => $kept]]),
        ];
    }
}
