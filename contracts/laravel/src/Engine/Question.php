<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;

/** The question for a vendor's AI about a message that no bot answers. */
final class Question
{
    /** Without what belongs to no conversation of the two: reactions, system messages, groups. */
    private const HISTORY = 'SELECT is_incoming_message, message FROM {logs} WHERE contacts__id = ?'
        . " AND message <> '' AND (is_incoming_message = 1 OR COALESCE(status, '') <> 'failed')"
        . " AND COALESCE(JSON_UNQUOTE(JSON_EXTRACT(__data, '$.sidecar.unanswered')), '')"
        . " NOT IN ('" . Answering::TYPE . "', '" . Answering::GROUP . "') ORDER BY _id DESC LIMIT ?";

    /** @param int $history how many of the latest messages it holds, this one included */
    public function __construct(
        private Database $db,
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
    public function about(IncomingMessage $message): array
    {
        $provider = $message->vendor->aiBotProvider();
        if ($provider === null || $message->contact->disableAiBot || trim($message->text()) === '') {
            return [];
        }
        $effect = [
            'kind' => 'ai_reply',
            'id' => $message->uid,
            'conversation' => $message->contact->uid,
            'provider' => $provider,
            'messages' => $this->conversation($message),
            'expires_at' => min($this->clock->nowMs() + $this->expiresS * 1000, $message->answerUntil()),
        ];
        $options = Json::object($message->vendor->setting('ai_bot_options'));

        return [(array) $options === [] ? $effect : $effect + ['options' => $options]];
    }

    /** @return list<array{role: string, content: string}> */
    private function conversation(IncomingMessage $message): array
    {
        $before = $this->db->rows(self::HISTORY, [$message->contact->id, max($this->history - 1, 0)]);
        $said = array_map(static fn (stdClass $row): array => [
            'role' => $row->is_incoming_message ? 'user' : 'assistant',
            'content' => $row->message,
        ], array_reverse($before));
        $instructions = $message->vendor->setting('ai_bot_instructions');
        $system = $instructions === null ? [] : [['role' => 'system', 'content' => $instructions]];

        return [...$system, ...$said, ['role' => 'user', 'content' => $message->text()]];
    }
}
