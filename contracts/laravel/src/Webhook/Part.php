<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;

/** One single update out of a webhook. */
final class Part
{
    /**
     * @param string $kind message, echo, status or change
     * @param stdClass $item the element of its list; $value for a change without
     * @param stdClass $contact who the item is from or to, out of value.contacts
     */
    public function __construct(
        public string $kind,
        public string $field,
        public stdClass $value,
        public stdClass $item,
        public stdClass $contact
    ) {
    }

    public function wamid(): ?string
    {
        return Envelope::text($this->item->id ?? null);
    }

    public function phoneNumberId(): ?string
    {
        $metadata = $this->value->metadata ?? null;

        return $metadata instanceof stdClass ? Envelope::text($metadata->phone_number_id ?? null) : null;
    }
}
