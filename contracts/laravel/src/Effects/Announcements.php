<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Tells the vendor's own webhook of each update, and open browsers of those that were applied. */
final class Announcements
{
    /** @param string $channel with {vendorUid} in it */
    public function __construct(private string $channel, private string $event)
    {
    }

    /** Return the outcome of an update with the effects that follow from it. */
    public function added(Vendor $vendor, Update $update, Outcome $outcome): Outcome
    {
        return match ($outcome->result) {
            'done' => Outcome::done(
                [...$outcome->effects, ...$this->of($vendor, $update, $outcome->campaignUid)],
                $outcome->campaignUid
            ),
            'ignored' => Outcome::ignored((string) $outcome->reason, $this->forward($vendor, $update)),
            default => $outcome,
        };
    }

    /**
     * Return the effects of an update that was applied. The broadcast says no more than what has changed,
     * so that like ones are sent once.
     *
     * @return list<array<string, mixed>>
     */
    public function of(Vendor $vendor, Update $update, ?string $campaignUid = null): array
    {
        $effects = $this->forward($vendor, $update);
        if ($vendor->broadcaster() !== null && ! $update->isRaw()) {
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

    /** @return list<array<string, mixed>> the answer about a raw webhook has no place for effects */
    private function forward(Vendor $vendor, Update $update): array
    {
        return $update->isRaw() || ! $vendor->forwards($update->part->field)
            ? []
            : [['kind' => 'forward', 'id' => Collected::idOf($vendor, $update, 'forward')]];
    }

    private static function waId(Update $update): ?string
    {
        $item = $update->part->item;
        $names = ['message' => 'from', 'echo' => 'to', 'status' => 'recipient_id'];
        $name = $names[$update->part->kind] ?? null;

        return $name === null ? null : Envelope::text($item->{$name} ?? null);
    }
}
