<?php

declare(strict_types=1);

namespace App;

use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Str;
use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Contacts;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Profile;

/**
 * The application's own webhook routine, for vendors whom PHP serves, with the faults of its kind: of a batch
 * it looks at the first update alone, a status that comes before its message is lost, and a late one
 * overwrites what came after it, unless that was read.
 */
final class WebhookRoutine
{
    private const UNHEALTHY = 131049;

    private const MAX_RETRIES = 5;

    public function __construct(
        private Vendors $vendors,
        private Contacts $contacts,
        private BotReplies $bots
    ) {
    }

    public function processWebhookRequest(Request $request, ?int $vendorId): void
    {
        $vendor = array_values($this->vendors->loadByIds(array_filter([$vendorId])))[0] ?? null;
        $value = $request->json()->all()['entry'][0]['changes'][0]['value'] ?? [];
        if ($vendor === null || ! $vendor->active) {
            return;
        }
        if (isset($value['statuses'][0])) {
            $this->status($vendor, $value['statuses'][0]);
        } elseif (isset($value['messages'][0])) {
            $this->message($vendor, $value, $value['messages'][0], 'from', true);
        } elseif (isset($value['message_echoes'][0])) {
            $this->message($vendor, $value, $value['message_echoes'][0], 'to', false);
        }
    }

    /** @param array<string, mixed> $status */
    private function status(Vendor $vendor, array $status): void
    {
        $log = DB::table('whatsapp_message_logs')->where(['vendors__id' => $vendor->id, 'wamid' => $status['id']]);
        $row = $log->first();
        if ($row === null) {
            return;
        }
        if ($row->status !== 'read') {
            $now = gmdate('Y-m-d H:i:s');
            $delivered = $status['status'] === 'delivered' ? ['messaged_at' => $now] : [];
            $log->update(['status' => substr($status['status'], 0, 10), 'updated_at' => $now] + $delivered);
        }
        if ($row->campaigns__id === null) {
            return;
        }
        $queue = DB::table('whatsapp_message_queue')->where([
            'vendors__id' => $vendor->id,
            'campaigns__id' => $row->campaigns__id,
            'contacts__id' => $row->contacts__id,
        ]);
        $retries = (int) $queue->value('retries');
        $unhealthy = ($status['errors'][0]['code'] ?? null) === self::UNHEALTHY;
        if ($unhealthy && $vendor->requeuesHealthyError() && $retries < self::MAX_RETRIES) {
            $due = gmdate('Y-m-d H:i:s', time() + 3600 * ($retries + 1));
            $queue->update(['status' => 1, 'retries' => $retries + 1, 'scheduled_at' => $due]);
            $log->delete();
        } else {
            $queue->delete();
        }
    }

    /**
     * @param array<string, mixed> $value
     * @param array<string, mixed> $item
     */
    private function message(Vendor $vendor, array $value, array $item, string $side, bool $incoming): void
    {
        $number = (string) ($value['metadata']['phone_number_id'] ?? '');
        $known = ['vendors__id' => $vendor->id, 'wamid' => $item['id']];
        if (
            ! $vendor->hasPhoneNumber($number)
            || ($item['type'] ?? null) === 'request_welcome'
            || DB::table('whatsapp_message_logs')->where($known)->exists()
        ) {
            return;
        }
        $profile = new Profile($value['contacts'][0]['profile']['name'] ?? null);
        $person = Person::of([$item[$side] ?? null], [$item["{$side}_user_id"] ?? null]);
        $contact = $this->contacts->findOrCreate($vendor, $person, $profile);
        if ($contact === null) {
            return;
        }
        $log = $this->log($vendor, $contact, $item, $number, $incoming);
        if ($incoming) {
            $this->bots->answer($vendor, $contact, $item, $number, $log);
        }
    }

    /**
     * @param array<string, mixed> $item
     *
     * @return int the row's `_id`
     */
    private function log(Vendor $vendor, Contact $contact, array $item, string $number, bool $incoming): int
    {
        $now = gmdate('Y-m-d H:i:s');

        return DB::table('whatsapp_message_logs')->insertGetId([
            '_uid' => (string) Str::uuid(),
            'created_at' => $now,
            'updated_at' => $now,
            'vendors__id' => $vendor->id,
            'contacts__id' => $contact->id,
            'status' => $incoming ? 'received' : 'sent',
            'wamid' => $item['id'],
            'contact_wa_id' => $contact->waId,
            'wab_phone_number_id' => $number,
            'is_incoming_message' => (int) $incoming,
            'message' => BotReplies::text($item),
            'messaged_at' => gmdate('Y-m-d H:i:s', (int) ($item['timestamp'] ?? time())),
            '__data' => json_encode(['message' => $item]),
        ]);
    }
}
