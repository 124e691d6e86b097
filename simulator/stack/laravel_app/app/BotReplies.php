<?php

declare(strict_types=1);

namespace App;

use Illuminate\Support\Facades\DB;
use Illuminate\Support\Str;
use WhatsappSidecar\Laravel\Bots\LoopMatcher;
use WhatsappSidecar\Laravel\Store\Bots;
use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Vendor;

/**
 * The application's own bots, for vendors whom PHP serves: what they answer is sent while the webhook is
 * handled. Which have answered is kept with the message, so that it can be compared with the sidecar's.
 */
final class BotReplies
{
    private const SWITCHES = [
        'start_promotional' => ['whatsapp_opt_out' => 0],
        'stop_promotional' => ['whatsapp_opt_out' => 1],
        'start_ai_bot' => ['disable_ai_bot' => 0],
        'stop_ai_bot' => ['disable_ai_bot' => 1],
    ];

    public function __construct(private Bots $bots, private LoopMatcher $matcher, private CloudApi $api)
    {
    }

    /** @param array<string, mixed> $item */
    public static function text(array $item): ?string
    {
        return $item['text']['body']
            ?? $item['button']['text']
            ?? $item['interactive']['button_reply']['title']
            ?? null;
    }

    /**
     * @param array<string, mixed> $item the customer's message
     * @param int $log its row's `_id`
     */
    public function answer(Vendor $vendor, Contact $contact, array $item, string $number, int $log): void
    {
        [$bots] = $this->bots->of([$vendor]);
        $matches = $this->matcher->admitted($this->matcher->match($bots, self::text($item) ?? '', time()), [
            'incoming_24h' => DB::table('whatsapp_message_logs')->where('contacts__id', $contact->id)
                ->where('is_incoming_message', 1)->where('created_at', '>=', gmdate('Y-m-d H:i:s', time() - 86400))
                ->count(),
            'disable_reply_bot' => $contact->disableReplyBot,
            'quick_reply' => isset($item['button']) || isset($item['interactive']['button_reply']),
        ]);
        $uids = array_column($matches, 'bot_uid');
        DB::update(
            "UPDATE whatsapp_message_logs SET __data = JSON_SET(__data, '$.sidecar', JSON_EXTRACT(?, '$'))"
                . ' WHERE _id = ?',
            [json_encode(['bots' => $uids]), $log]
        );
        $texts = $this->bots->replies($vendor, $uids);
        foreach ($matches as $match) {
            $switch = self::SWITCHES[$match['trigger_type']] ?? [];
            if ($switch !== []) {
                DB::table('contacts')->where('_id', $contact->id)->update($switch);
            }
            $text = (string) ($texts[$match['bot_uid']] ?? '');
            if ($text !== '') {
                $this->send($vendor, $contact, $number, $text);
            }
        }
    }

    private function send(Vendor $vendor, Contact $contact, string $number, string $text): void
    {
        $message = $contact->address() + ['type' => 'text', 'text' => ['body' => $text]];
        [[$status, $answer]] = $this->api->sendAll([[$vendor, $number, $message]]);
        $wamid = $answer['messages'][0]['id'] ?? null;
        $now = gmdate('Y-m-d H:i:s');
        DB::table('whatsapp_message_logs')->insert([
            '_uid' => (string) Str::uuid(),
            'created_at' => $now,
            'updated_at' => $now,
            'vendors__id' => $vendor->id,
            'contacts__id' => $contact->id,
            'status' => $wamid === null ? 'failed' : 'accepted',
            'wamid' => $wamid,
            'contact_wa_id' => $contact->waId,
            'wab_phone_number_id' => $number,
            'is_incoming_message' => 0,
            'message' => $text,
            'messaged_at' => $now,
            '__data' => json_encode(['initial_response' => $answer, 'http_status' => $status]),
        ]);
    }
}
