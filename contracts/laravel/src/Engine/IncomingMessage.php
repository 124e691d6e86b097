<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Update;

/** A customer's message that bots may answer. */
final class IncomingMessage
{
    /**
     * @param string $uid of the row that it has in the log
     * @param int $sentAt unix ms, by its own timestamp
     */
    public function __construct(
        public Vendor $vendor,
        public Update $update,
        public Contact $contact,
        public string $uid,
        public string $phoneNumberId,
        public int $sentAt
    ) {
    }

    public function item(): stdClass
    {
        return $this->update->part->item;
    }

    /** Return the customer's own words; "" if there are none. */
    public function text(): string
    {
        return MessageText::said($this->item());
    }

    /** Return until when it may be answered, in unix ms. */
    public function answerUntil(): int
    {
        return Answering::until($this->sentAt);
    }

    /** Tell whether it answers a button, of a template or of an interactive message. */
    public function isQuickReply(): bool
    {
        return isset($this->item()->button) || isset($this->item()->interactive->button_reply);
    }
}
