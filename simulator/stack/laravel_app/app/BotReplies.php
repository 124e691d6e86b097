<?php

declare(strict_types=1);

namespace App;

use App\Models\BotReply;
use App\Models\Contact;
use App\Models\LoggedMessage;
use App\Models\Vendor;
use Illuminate\Support\Str;
use WhatsappSidecar\Laravel\Bots\LoopMatcher;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Facades\Sidecar;

/**
 * The application's own bots. The sidecar sends what they answer if it has handed the message over; otherwise it
 * is sent here, while the webhook is handled. Which have answered is kept with the message, so that it can be
 * compared with the sidecar's.
 */
final class BotReplies
{
    private const SWITCHES = [
        'start_promotional' => ['whatsapp_opt_out' => 0],
        'stop_promotional' => ['whatsapp_opt_out' => 1],
        'start_ai_bot' => ['disable_ai_bot' => 0],
        'stop_ai_bot' => ['disable_ai_bot' => 1],
    ];

    private const HISTORY = 10;

    public function __construct(
        private VendorSettings $settings,
        private LoopMatcher $matcher,
        private Answering $answering,
        private CloudApi $api
    ) {
    }

    /** @param array<string, mixed> $item */
    public static function text(array $item): ?string
    {
        $text = $item['text']['body']
            ?? $item['button']['text']
            ?? $item['interactive']['button_reply']['title']
            ?? $item['interactive']['list_reply']['title']
            ?? $item[(string) ($item['type'] ?? '')]['caption']
            ?? null;

        return is_string($text) ? $text : null;
    }

    /**
     * @param array<string, mixed> $item the customer's message
     * @param LoggedMessage $message its row
     */
    public function answer(Vendor $vendor, Contact $contact, array $item, LoggedMessage $message): void
    {
        $said = json_decode((string) json_encode($item));
        if ($this->answering->refusal($said) !== null) {
            return;
        }
        $matches = $this->matches($vendor, $contact, $item);
        $message->__data = ['sidecar' => ['bots' => array_column($matches, 'bot_uid')]] + $message->__data;
        $message->save();
        // The crons' ways have never looked at it.
        $until = Answering::until(Answering::sentMs($said, time() * 1000));
        $isLate = Sidecar::isHandling() && $until <= time() * 1000;
        foreach ($matches as $match) {
            $contact->fill(self::SWITCHES[$match['trigger_type']] ?? [])->save();
            $text = (string) BotReply::query()->where('_uid', $match['bot_uid'])->value('reply_text');
            if ($text !== '' && $contact->address() !== null && ! $isLate) {
                $this->send($vendor, $contact, (string) $message->wab_phone_number_id, $text, $until);
            }
        }
        if ($matches === [] && ! $contact->disable_ai_bot && ! $isLate) {
            $this->ask($vendor, $message, $until);
        }
    }

    /**
     * @param array<string, mixed> $item
     *
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>
     */
    private function matches(Vendor $vendor, Contact $contact, array $item): array
    {
        $matches = Sidecar::matchedBots()
            ?? $this->matcher->match($this->bots($vendor), self::text($item) ?? '', time());
        $today = LoggedMessage::query()
            ->where(['contacts__id' => $contact->_id, 'is_incoming_message' => 1])
            ->where('created_at', '>=', date('Y-m-d H:i:s', time() - 86400));

        return $this->matcher->admitted($matches, [
            'incoming_24h' => in_array('welcome', array_column($matches, 'trigger_type'), true) ? $today->count() : 0,
            'disable_reply_bot' => $contact->disable_reply_bot,
            'quick_reply' => isset($item['button']) || isset($item['interactive']['button_reply']),
        ]);
    }

    /** @return array<string, mixed> all of the vendor's, as the matcher takes them */
    private function bots(Vendor $vendor): array
    {
        $bots = BotReply::query()
            ->leftJoin('bot_flows as flows', 'flows._id', '=', 'bot_replies.bot_flows__id')
            ->where('bot_replies.vendors__id', $vendor->_id)
            ->orderBy('bot_replies.priority_index')
            ->orderBy('bot_replies._id')
            ->get(['bot_replies.*', 'flows.status as flow_status']);

        $hours = $this->settings->json($vendor->_id, 'bot_hours');

        return ['hours' => $hours === [] ? null : $hours, 'bots' => $bots->map(static fn (BotReply $bot): array => [
            'bot_uid' => $bot->_uid,
            'trigger_type' => (string) $bot->trigger_type,
            'reply_trigger' => $bot->reply_trigger,
            'active' => (int) $bot->status !== 2 && (int) $bot->flow_status !== 2,
        ])->all()];
    }

    private function send(Vendor $vendor, Contact $contact, string $number, string $text, int $until): void
    {
        $message = ['type' => 'text', 'text' => ['body' => $text]];
        if (Sidecar::isHandling()) {
            Sidecar::sendMessage($vendor->_id, $contact->address(), $message, $contact->_id, $number, $until);

            return;
        }
        $to = $contact->wa_id === null ? ['recipient' => $contact->address()] : ['to' => $contact->wa_id];
        $token = (string) $this->settings->get($vendor->_id, 'whatsapp_access_token');
        [[$status, $answer]] = $this->api->sendAll([[$token, $number, $to + $message]]);
        $wamid = $answer['messages'][0]['id'] ?? null;
        LoggedMessage::query()->forceCreate([
            '_uid' => (string) Str::uuid(),
            'vendors__id' => $vendor->_id,
            'contacts__id' => $contact->_id,
            'status' => $wamid === null ? 'failed' : 'accepted',
            'wamid' => $wamid,
            'contact_wa_id' => $contact->wa_id,
            'wab_phone_number_id' => $number,
            'is_incoming_message' => 0,
            'message' => $text,
            'messaged_at' => date('Y-m-d H:i:s'),
            '__data' => ['initial_response' => $answer, 'http_status' => $status],
        ]);
    }

    /** Ask the vendor's AI, by the sidecar alone: this application has given up on waiting for it. */
    private function ask(Vendor $vendor, LoggedMessage $message, int $until): void
    {
        if (! Sidecar::isHandling() || $this->settings->get($vendor->_id, 'ai_bot_provider') === null) {
            return;
        }
        $said = LoggedMessage::query()
            ->where('contacts__id', $message->contacts__id)
            ->where('message', '<>', '')
            ->latest('_id')
            ->limit(self::HISTORY)
            ->get()
            ->reverse()
            ->map(static fn (LoggedMessage $one): array => [
                'role' => $one->is_incoming_message ? 'user' : 'assistant',
                'content' => $one->message,
            ]);
        if (($message->message ?? '') !== '') {
            Sidecar::aiReply($vendor->_id, $message->_uid, $said->values()->all(), expiresAt: $until);
        }
    }
}
