<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Bots;

use Illuminate\Support\Str;

/**
 * Finds the bots that answer a message by trying every trigger of every bot.
 *
 * It says what the sidecar's matcher must say, and stands in for it when the sidecar does not answer.
 * Bots, facts and matches are arrays as the contract has them (VendorBots, ContactFacts, BotMatch).
 */
final class LoopMatcher
{
    /**
     * Return every bot that matches, in the order of $vendor['bots'], with its first trigger that does.
     * Welcome bots are always among them, see admitted().
     *
     * @param array<string, mixed> $vendor bots: bot_uid, trigger_type, reply_trigger, active; hours or null
     * @param string $message the text as it came
     * @param int $at unix seconds, for the bot hours
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>
     */
    public function match(array $vendor, string $message, int $at): array
    {
        $text = strtolower(trim($message));
        $closed = BotHours::closed($vendor['hours'] ?? null, $at);
        $matches = [];
        foreach ($vendor['bots'] as $bot) {
            $type = $bot['trigger_type'];
            $isClosed = is_array($closed) ? in_array($type, $closed, true) : $closed === true;
            if (! ($bot['active'] ?? true) || $isClosed) {
                continue;
            }
            if ($type === 'welcome') {
                $matches[] = ['bot_uid' => $bot['bot_uid'], 'trigger_type' => $type, 'trigger' => null];
                continue;
            }
            foreach (self::triggers($bot['reply_trigger'] ?? '') as $trigger) {
                if (self::matches($type, $trigger, $text)) {
                    $matches[] = ['bot_uid' => $bot['bot_uid'], 'trigger_type' => $type, 'trigger' => $trigger];
                    break;
                }
            }
        }

        return $matches;
    }

    /**
     * Return those of $matches that may answer this contact: welcome bots only its first message in 24
     * hours, and none where it has disabled replies and the message answers no button.
     *
     * @param list<array<string, mixed>> $matches
     * @param array<string, mixed> $contact incoming_24h, disable_reply_bot, quick_reply
     * @return list<array<string, mixed>>
     */
    public function admitted(array $matches, array $contact): array
    {
        if (($contact['disable_reply_bot'] ?? false) && ! ($contact['quick_reply'] ?? false)) {
            return [];
        }
        $incoming = $contact['incoming_24h'] ?? null;
        $welcome = $incoming !== null && $incoming <= 1;

        return array_values(array_filter(
            $matches,
            static fn (array $match): bool => $welcome || $match['trigger_type'] !== 'welcome'
        ));
    }

    /** @return array<string> without empty ones and "0" */
    private static function triggers(string $list): array
    {
        return array_filter(array_map('trim', explode(',', strtolower($list))));
    }

    private static function matches(string $type, string $trigger, string $text): bool
    {
        switch ($type) {
            case 'is':
            case 'start_promotional':
            case 'stop_promotional':
            case 'start_ai_bot':
            case 'stop_ai_bot':
                return Str::is($trigger, $text);
            case 'starts_with':
                return Str::startsWith($text, $trigger);
            case 'ends_with':
                return Str::endsWith($text, $trigger);
            case 'contains':
                return Str::contains($text, $trigger);
            case 'contains_word':
                return preg_match('/\b' . preg_quote($trigger, '/') . '\b/u', $text) === 1;
            default:
                return false;
        }
    }
}
