<?php

declare(strict_types=1);

namespace App;

use App\Models\Contact;
use App\Models\LoggedMessage;
use App\Models\Vendor;
use Illuminate\Http\Request;
use Illuminate\Support\Str;
use WhatsappSidecar\Laravel\Facades\Sidecar;

/**
 * The application's own webhook routine, with the faults of its kind: of a batch it looks at the first update
 * alone, a status that comes before its message is lost, and a late one overwrites what came after it, unless
 * that was read. Its cron calls it, and for the sidecar's vendors HostRoutineEngine does: then what waits for a
 * network is left to the sidecar.
 */
final class WebhookRoutine
{
    private const ACTIVE = 1;

    private const OF_MESSAGES = ['messages', 'smb_message_echoes'];

    /** What the column holds. */
    private const MESSAGE_BYTES = 65535;

    private const MEDIA = ['image', 'video', 'document', 'audio', 'sticker'];

    public function __construct(
        private VendorSettings $settings,
        private ContactBook $contacts,
        private StatusUpdates $statuses,
        private AccountUpdates $account,
        private BotReplies $bots,
        private Announcer $announcer
    ) {
    }

    public function processWebhookRequest(Request $request, ?int $vendorId): void
    {
        $vendor = Vendor::query()->find($vendorId);
        $change = $request->json()->all()['entry'][0]['changes'][0] ?? [];
        if ($vendor === null || (int) $vendor->status !== self::ACTIVE) {
            return;
        }
        $value = is_array($change['value'] ?? null) ? $change['value'] : [];
        $field = (string) ($change['field'] ?? 'messages');
        if (! in_array($field, self::OF_MESSAGES, true)) {
            $this->account->apply($vendor->_id, $field, $value);
        } elseif (isset($value['statuses'][0])) {
            $this->statuses->apply($vendor->_id, $value['statuses'][0]);
        } elseif (isset($value['messages'][0])) {
            $this->message($vendor, $value, $value['messages'][0], 'from');
        } elseif (isset($value['message_echoes'][0])) {
            $this->message($vendor, $value, $value['message_echoes'][0], 'to');
        }
        $this->announcer->announce($vendor, $request->getContent());
    }

    /**
     * @param array<string, mixed> $value
     * @param array<string, mixed> $item
     * @param string $side from or to: where the customer stands
     */
    private function message(Vendor $vendor, array $value, array $item, string $side): void
    {
        $number = (string) ($value['metadata']['phone_number_id'] ?? '');
        $numbers = array_column($this->settings->json($vendor->_id, 'whatsapp_phone_numbers'), 'id');
        if (
            ! in_array($number, $numbers, true)
            || ($item['type'] ?? null) === 'request_welcome'
            || LoggedMessage::query()->where(['vendors__id' => $vendor->_id, 'wamid' => $item['id']])->exists()
        ) {
            return;
        }
        $person = $value['contacts'][0] ?? [];
        $ids = [$item[$side] ?? null, $person['wa_id'] ?? null, $item["{$side}_user_id"] ?? null];
        $contact = $this->contacts->findOrCreate($vendor->_id, $ids, $person['profile']['name'] ?? null);
        if ($contact === null) {
            return;
        }
        $message = $this->log($vendor, $contact, $item, $number, $side === 'from');
        if ($side === 'from') {
            $this->bots->answer($vendor, $contact, $item, $message);
        }
    }

    /** @param array<string, mixed> $item */
    private function log(Vendor $vendor, Contact $contact, array $item, string $number, bool $incoming): LoggedMessage
    {
        return LoggedMessage::query()->forceCreate([
            '_uid' => (string) Str::uuid(),
            'vendors__id' => $vendor->_id,
            'contacts__id' => $contact->_id,
            'status' => $incoming ? 'received' : 'sent',
            'wamid' => $item['id'],
            'contact_wa_id' => $contact->wa_id,
            'wab_phone_number_id' => $number,
            'is_incoming_message' => (int) $incoming,
            'message' => mb_strcut((string) BotReplies::text($item), 0, self::MESSAGE_BYTES),
            'messaged_at' => date('Y-m-d H:i:s', min((int) ($item['timestamp'] ?? time()), time())),
            '__data' => ['message' => $item] + $this->media($item),
        ]);
    }

    /**
     * Have the sidecar fetch the media of a message that it has handed over.
     *
     * @param array<string, mixed> $item
     *
     * @return array<string, mixed>
     */
    private function media(array $item): array
    {
        foreach (Sidecar::isHandling() ? self::MEDIA : [] as $type) {
            if (isset($item[$type]['id'])) {
                $media = Sidecar::media((string) $item[$type]['id']);

                return $media === null ? [] : ['media' => ['id' => $item[$type]['id'], 'state' => $media['state']]];
            }
        }

        return [];
    }
}
