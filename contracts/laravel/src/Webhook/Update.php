<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/** One update as the sidecar hands it over, or as it was split out of a raw webhook. */
final class Update
{
    /**
     * @param stdClass $payload a complete webhook envelope that holds nothing but this update
     * @param list<stdClass> $lowerStatuses status objects that were folded into this one
     * @param int|null $receivedAt unix ms; null for a raw webhook, whose own time stands for it
     */
    public function __construct(
        public string $vendorUid,
        public Part $part,
        public stdClass $payload,
        public array $lowerStatuses = [],
        public ?int $receivedAt = null,
        public int $attempt = 1
    ) {
    }

    /** Return the payload's JSON. */
    public function body(): string
    {
        return Json::dump($this->payload);
    }

    /**
     * Return the statuses in their order, the folded ones first; those without a name are left out.
     *
     * @return list<stdClass>
     */
    public function statuses(): array
    {
        return array_values(array_filter(
            [...$this->lowerStatuses, $this->part->item],
            static fn (stdClass $status): bool => Envelope::text($status->status ?? null) !== null
        ));
    }
}
