<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Bots\LoopMatcher;
use WhatsappSidecar\Laravel\Effects\Collected;
use WhatsappSidecar\Laravel\Effects\PendingMessages;
use WhatsappSidecar\Laravel\Store\Bots;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Text;
use WhatsappSidecar\Laravel\Support\Time;

/** What bots answer to a customer's message, and the question for the AI where none of them matches. */
final class Replies
{
    private const DAY_MS = 86400000;

    private const SWITCHES = [
        'start_promotional' => ['whatsapp_opt_out' => 0],
        'stop_promotional' => ['whatsapp_opt_out' => 1],
        'start_ai_bot' => ['disable_ai_bot' => 0],
        'stop_ai_bot' => ['disable_ai_bot' => 1],
    ];

    public function __construct(
        private Database $db,
        private Bots $bots,
        private LoopMatcher $matcher,
        private Question $question,
        private Clock $clock,
        private Answering $answering
    ) {
    }

    /** @param list<IncomingMessage> $messages that are handled together, in their order */
    public function conversations(array $messages): Conversations
    {
        $isAnswered = fn (IncomingMessage $message): bool
            => $this->answering->refusal($message->item()) === null && ! $message->update->isRaw();

        return new Conversations(
            $this->db,
            $this->bots,
            $this->matcher,
            $this->clock->nowMs(),
            array_values(array_filter($messages, $isAnswered))
        );
    }

    /**
     * Decide what the bots say that match, before the message is stored itself.
     *
     * @return array{list<array<string, mixed>>, list<array<string, mixed>>, array<string, mixed>} effects, the
     *     log rows of messages among them, and what the message's row keeps: the bots, or why nobody answers
     */
    public function to(IncomingMessage $message, Conversations $conversations): array
    {
        $refusal = $this->answering->refusal($message->item());
        if ($refusal !== null) {
            return [[], [], ['unanswered' => $refusal]];
        }
        if ($message->update->isRaw()) {
            return [[], [], []];
        }
        $matches = $this->matches($message, $conversations);
        $texts = $conversations->texts($message, array_column($matches, 'bot_uid'));
        // Those that are still there, and active.
        $isKnown = static fn (array $match): bool => array_key_exists($match['bot_uid'], $texts);
        $matches = array_filter($matches, $isKnown);
        $conversations->switch($message->contact, self::switches(array_column($matches, 'trigger_type')));
        $kept = ['bots' => array_column($matches, 'bot_uid')];
        if ($message->answerUntil() <= $this->clock->nowMs()) {
            return [[], [], $kept + ['unanswered' => Answering::WINDOW_CLOSED]];
        }
        if ($message->contact->address() === null) {
            return [[], [], $kept];
        }
        if ($matches !== []) {
            return [...$this->messages($message, $matches, $texts), $kept];
        }
        $question = $this->question->about($message, $conversations);

        return [$question, [], $kept + ($question === [] ? [] : ['answer_until' => $message->answerUntil()])];
    }

    /** @return list<array<string, mixed>> */
    private function matches(IncomingMessage $message, Conversations $conversations): array
    {
        if ($message->contact->disableReplyBot && ! $message->isQuickReply()) {
            return [];
        }
        $matches = $conversations->matches($message);
        $welcome = in_array('welcome', array_column($matches, 'trigger_type'), true);
        // In the last 24 hours, before this message.
        $since = $this->clock->nowMs() - self::DAY_MS;

        return $this->matcher->admitted($matches, [
            'incoming_24h' => $welcome && $conversations->latestMs($message) >= $since ? 2 : 1,
        ]);
    }

    /**
     * @param list<string> $types of the bots that match
     *
     * @return array<string, int> columns of the contact
     */
    private static function switches(array $types): array
    {
        return array_merge([], ...array_values(array_filter(array_map(
            static fn (string $type): array => self::SWITCHES[$type] ?? [],
            $types
        ))));
    }

    /**
     * @param array<array<string, mixed>> $matches
     * @param array<string, ?string> $texts by the bots' uids
     *
     * @return array{list<array<string, mixed>>, list<array<string, mixed>>}
     */
    private function messages(IncomingMessage $message, array $matches, array $texts): array
    {
        $effects = $rows = [];
        $now = Time::text($this->clock->nowMs());
        foreach ($matches as $match) {
            foreach (Text::pieces((string) $texts[$match['bot_uid']]) as $place => $text) {
                $effects[] = $effect = $this->effect($message, "bot:{$match['bot_uid']}:{$place}", $text);
                $source = "bot {$match['bot_uid']}";
                $rows[] = PendingMessages::row($message->vendor, $effect, $message->contact->id, $source, $now);
            }
        }

        return [$effects, $rows];
    }

    /** @return array<string, mixed> */
    private function effect(IncomingMessage $message, string $place, string $text): array
    {
        return [
            'kind' => 'send_message',
            'id' => Collected::idOf($message->vendor, $message->update, $place),
        ] + $message->contact->address() + [
            'message' => ['type' => 'text', 'text' => ['body' => $text]],
            'phone_number_id' => $message->phoneNumberId,
            'expires_at' => $this->answering->expiresAt($this->clock->nowMs(), $message->answerUntil()),
        ];
    }
}
