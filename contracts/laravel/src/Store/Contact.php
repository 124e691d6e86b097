<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Person;

/** A contact as the call found or made it. */
final class Contact
{
    /** Whether the call has made it, so that nothing in the log is of it. */
    public bool $isNew = false;

    /**
     * @param string|null $waId null for one who hides the number
     * @param string|null $userId null for one of whom only the number is known
     */
    public function __construct(
        public int $id,
        public string $uid,
        public ?string $waId,
        public bool $disableReplyBot = false,
        public bool $disableAiBot = false,
        public ?string $userId = null
    ) {
    }

    /** @param stdClass $row of `contacts`, with its `__data` */
    public static function ofRow(stdClass $row): self
    {
        return new self(
            (int) $row->_id,
            $row->_uid,
            Person::phoneDigits((string) $row->wa_id),
            (bool) $row->disable_reply_bot,
            (bool) $row->disable_ai_bot,
            self::userId($row)
        );
    }

    /**
     * Return where a message to the contact goes, as the contract's SendMessage has it; null if nothing is
     * known to send it to.
     *
     * @return array{to: string}|array{recipient: string}|null
     */
    public function address(): ?array
    {
        if ($this->waId !== null) {
            return ['to' => $this->waId];
        }

        return $this->userId === null ? null : ['recipient' => $this->userId];
    }

    /**
     * Return where a message to a row of `contacts` goes; see address().
     *
     * @param stdClass $row its wa_id and __data
     *
     * @return array{to: string}|array{recipient: string}|null
     */
    public static function addressOfRow(stdClass $row): ?array
    {
        return (new self(0, '', Person::phoneDigits((string) $row->wa_id), userId: self::userId($row)))->address();
    }

    /** Return the user id in a row of `contacts`; older rows may hold it as their number. */
    public static function userId(stdClass $row): ?string
    {
        return Envelope::text(Json::object($row->__data)->user_id ?? null)
            ?? Person::of([$row->wa_id])->userId;
    }
}
