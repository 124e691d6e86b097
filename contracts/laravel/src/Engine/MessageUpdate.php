<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\MessageRow;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Move;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Profile;
use WhatsappSidecar\Laravel\Webhook\Update;

/** A customer's message, or an echo of the business's own, on its way into the log. */
final class MessageUpdate
{
    /** Whom it is from or to. */
    public Person $person;

    public Contact $contact;

    private string $side;

    public function __construct(public Vendor $vendor, public Update $update, private int $nowMs)
    {
        $this->side = $update->part->kind === 'message' ? 'from' : 'to';
        $this->person = Person::ofItem($update->part->item, $update->part->contact, $this->side);
    }

    public function isIncoming(): bool
    {
        return $this->side === 'from';
    }

    /** Return what is said of it that is not stored; null for one that is. */
    public function refusal(): ?Outcome
    {
        $part = $this->update->part;
        $number = $part->phoneNumberId();
        $reason = match (true) {
            $this->isIncoming() && ($part->item->type ?? null) === 'request_welcome' => 'request_welcome',
            $number === null || ! $this->vendor->hasPhoneNumber($number) => 'phone_number_unknown',
            $part->wamid() === null => 'message_without_id',
            $this->person->hasNumber($part->ownNumber()) => 'own_number',
            default => null,
        };

        return $reason === null ? null : Outcome::ignored($reason);
    }

    /** Tell whether it changes other rows than its own, or takes another's. */
    public function standsAlone(): bool
    {
        $item = $this->update->part->item;

        return Answering::isCorrection($item) || Answering::isPlaceholder($item)
            || ($item->type ?? null) === 'system' || $this->update->placeholder !== null;
    }

    public function profile(): Profile
    {
        return Profile::of($this->update->part->contact, $this->update->part->item, $this->side);
    }

    /** Return who the person has become, as a system message says; nobody gets the business's own number. */
    public function move(): ?Move
    {
        $move = Move::ofMessage($this->person, $this->update->part->item);

        return $move === null || $move->new->hasNumber($this->update->part->ownNumber()) ? null : $move;
    }

    /** Return the `_uid` of its row. It follows from the wamid, so that two calls at the same moment store it once. */
    public function uid(): string
    {
        return $this->update->placeholder
            ?? Uuid::of(Uuid::MESSAGES, "{$this->vendor->uid}:{$this->update->part->wamid()}");
    }

    /** Return the id, as the log's column holds it, of the message that a reply or a reaction names. */
    public function quoted(): ?string
    {
        $item = $this->update->part->item;
        $wamid = Envelope::id(
            Json::section($item, 'reaction')->message_id ?? Json::section($item, 'context')->id ?? null
        );

        return $wamid === null ? null : Wamid::stored($wamid);
    }

    /** Return what bots may answer; null for an echo. */
    public function incoming(): ?IncomingMessage
    {
        return $this->isIncoming() ? new IncomingMessage(
            $this->vendor,
            $this->update,
            $this->contact,
            $this->uid(),
            (string) $this->update->part->phoneNumberId(),
            $this->sentMs()
        ) : null;
    }

    /**
     * @param string|null $quoted `_uid` of the message that it names
     * @param array<string, mixed> $data what `__data` holds besides the message
     *
     * @return array<string, mixed>
     */
    public function row(?string $quoted, array $data): array
    {
        $part = $this->update->part;
        $item = $part->item;
        $context = Json::section($item, 'context');
        $forwarded = ($context->forwarded ?? null) === true || ($context->frequently_forwarded ?? null) === true;

        return MessageRow::of(Time::text($this->nowMs), [
            '_uid' => $this->uid(),
            'vendors__id' => $this->vendor->id,
            'contacts__id' => $this->contact->id,
            'status' => $this->isIncoming() ? 'received' : 'sent',
            'wamid' => $part->wamid(),
            'contact_wa_id' => $this->person->waId ?? $this->contact->waId,
            'wab_phone_number_id' => $part->phoneNumberId(),
            'is_incoming_message' => (int) $this->isIncoming(),
            'message' => MessageText::of($item),
            'messaged_at' => Time::text($this->sentMs()),
            'is_forwarded' => (int) $forwarded,
            'replied_to_whatsapp_message_logs__uid' => $quoted,
            '__data' => Json::dump([
                'message' => Json::shallow($item),
                'contact' => Json::shallow($part->contact),
            ] + $data + Wamid::data((string) $part->wholeWamid())),
        ]);
    }

    private function sentMs(): int
    {
        return Answering::sentMs($this->update->part->item, $this->update->receivedAt ?? $this->nowMs);
    }
}
