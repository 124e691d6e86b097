<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Tells the vendor's own webhook and open browsers of an update that was applied. */
final class Announcements
{
    /** @param string $channel with {vendorUid} in it */
    public function __construct(private string $channel, private string $event)
    {
    }

    /**
     * Return the effects. The broadcast says no more than what has changed, so that like ones are sent
     * once.
     *
     * @return list<array<string, mixed>>
     */
    public function of(Vendor $vendor, Update $update, ?string $campaignUid = null): array
    {
        $effects = [];
        if ($update->isRaw()) {
            return $effects;
        }
        if ($vendor->forward() !== null) {
            $effects[] = ['kind' => 'forward', 'id' => Collected::idOf($vendor, $update, 'forward')];
        }
        if ($vendor->broadcaster() !== null) {
            $effects[] = [
                'kind' => 'broadcast',
                'channels' => [str_replace('{vendorUid}', $vendor->uid, $this->channel)],
                'event' => $this->event,
                'data' => [
                    'kind' => $update->part->kind,
                    'wa_id' => self::waId($update),
                    'campaign_uid' => $campaignUid,
                ],
            ];
        }

        return $effects;
    }

    private static function waId(Update $update): ?string
    {
        $item = $update->part->item;
        $names = ['message' => 'from', 'echo' => 'to', 'status' => 'recipient_id'];
        $name = $names[$update->part->kind] ?? null;

        return $name === null ? null : Envelope::text($item->{$name} ?? null);
    }
}
