<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use WhatsappSidecar\Laravel\Store\Wamid;

/** One single update out of a webhook. */
final class Part
{
    /** The account that the webhook is about, as its entry names it. */
    public ?string $accountId = null;

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

    /** Return the message's id as the log's column holds it. */
    public function wamid(): ?string
    {
        $wamid = $this->wholeWamid();

        return $wamid === null ? null : Wamid::stored($wamid);
    }

    public function wholeWamid(): ?string
    {
        return Envelope::id($this->item->id ?? null);
    }

    public function phoneNumberId(): ?string
    {
        $metadata = $this->value->metadata ?? null;

        return $metadata instanceof stdClass ? Envelope::id($metadata->phone_number_id ?? null) : null;
    }

    /** Return the business's own number, as it is shown to people. */
    public function ownNumber(): mixed
    {
        $metadata = $this->value->metadata ?? null;

        return $metadata instanceof stdClass ? $metadata->display_phone_number ?? null : null;
    }
}
