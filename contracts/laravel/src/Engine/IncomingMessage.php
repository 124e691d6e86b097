<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Update;

/** A customer's message that bots may answer. */
final class IncomingMessage
{
    /** @param string $uid of the row that it has in the log */
    public function __construct(
        public Vendor $vendor,
        public Update $update,
        public Contact $contact,
        public string $uid,
        public ?string $text,
        public string $phoneNumberId
    ) {
    }

    /** Tell whether it answers a button, of a template or of an interactive message. */
    public function isQuickReply(): bool
    {
        $item = $this->update->part->item;

        return isset($item->button) || isset($item->interactive->button_reply);
    }
}
