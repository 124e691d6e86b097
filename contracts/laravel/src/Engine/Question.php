<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;

/** The question for a vendor's AI about a message that no bot answers. */
final class Question
{
    /** @param int $history how many of the latest messages it holds, this one included */
    public function __construct(
        private Clock $clock,
        private int $history,
        private int $expiresS
    ) {
    }

    /**
     * Return the effect that asks; none where vendor or contact want no AI. Its id is the message's uid,
     * by which the answer finds it.
     *
     * @return list<array<string, mixed>>
     */
    public function about(IncomingMessage $message, Conversations $conversations): array
    {
        if (! self::mayAsk($message) || $conversations->disablesAi($message->contact)) {
            return [];
        }
        $effect = [
            'kind' => 'ai_reply',
            'id' => $message->uid,
            'conversation' => $message->contact->uid,
            'provider' => $message->vendor->aiBotProvider(),
            'messages' => $this->conversation($message, $conversations),
            'expires_at' => min($this->clock->nowMs() + $this->expiresS * 1000, $message->answerUntil()),
        ];
        $options = Json::object($message->vendor->setting('ai_bot_options'));

        return [(array) $options === [] ? $effect : $effect + ['options' => $options]];
    }

    /** Tell whether the vendor has an AI, and the message something for it to read. */
    public static function mayAsk(IncomingMessage $message): bool
    {
        return $message->vendor->aiBotProvider() !== null && trim($message->text()) !== '';
    }

    /** @return list<array{role: string, content: string}> */
    private function conversation(IncomingMessage $message, Conversations $conversations): array
    {
        $before = $conversations->history($message, max($this->history - 1, 0));
        $said = array_map(static fn (stdClass $row): array => [
            'role' => $row->is_incoming_message ? 'user' : 'assistant',
            'content' => $row->message,
        ], $before);
        $instructions = $message->vendor->setting('ai_bot_instructions');
        $system = $instructions === null ? [] : [['role' => 'system', 'content' => $instructions]];

        return [...$system, ...$said, ['role' => 'user', 'content' => $message->text()]];
    }
}
