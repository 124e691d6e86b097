<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use JsonException;
use stdClass;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Part;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Applies one raw webhook, whatever its bytes are. */
final class ProcessRawWebhook
{
    public function __construct(private Vendors $vendors, private ProcessUpdates $updates)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $vendorUid, string $body): array
    {
        $this->vendors->id($vendorUid);

        return $this->process($vendorUid, $body)->json();
    }

    private function process(string $vendorUid, string $body): Outcome
    {
        try {
            $webhook = Json::read($body);
        } catch (JsonException) {
            return Outcome::ignored('body_not_json');
        }
        if (! $webhook instanceof stdClass || ! is_array($webhook->entry ?? null)) {
            return Outcome::ignored('body_not_a_webhook');
        }
        $parts = Envelope::split($webhook);
        if ($parts === []) {
            return Outcome::ignored('webhook_without_updates');
        }

        return self::together($this->updates->process(array_map(
            static fn (Part $part): Update => new Update($vendorUid, $part, Envelope::around($part)),
            $parts
        )));
    }

    /**
     * Return the answer for all: the first that has to come again, or cannot be applied, or was done, or
     * was ignored. Those that are done are not done twice when all come again.
     *
     * @param list<Outcome> $outcomes
     */
    private static function together(array $outcomes): Outcome
    {
        foreach (['retry', 'rejected', 'done'] as $result) {
            foreach ($outcomes as $outcome) {
                if ($outcome->result === $result) {
                    return $outcome;
                }
            }
        }

        return $outcomes[0];
    }
}
