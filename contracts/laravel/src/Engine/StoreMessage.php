<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Effects\Announcements;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Contacts;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\MessageRow;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Profile;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Stores messages in the log, each once. */
final class StoreMessage
{
    public function __construct(
        private Database $db,
        private Contacts $contacts,
        private Clock $clock,
        private Replies $replies,
        private Announcements $announcements,
        private KeptEffects $kept
    ) {
    }

    /** Store a message once, with its contact (whom it is $from or $to), and what bots answer to it. */
    public function store(Vendor $vendor, Update $update, string $side, bool $incoming): Outcome
    {
        $part = $update->part;
        $item = $part->item;
        $number = $part->phoneNumberId();
        $wamid = $part->wamid();
        if ($number === null || ! $vendor->hasPhoneNumber($number)) {
            return Outcome::ignored('phone_number_unknown');
        }
        if ($wamid === null) {
            return Outcome::ignored('message_without_id');
        }
        $person = Person::ofItem($item, $part->contact, $side);
        $profile = Profile::of($part->contact, $item, $side);
        $contact = $this->contacts->moved($vendor, $person, $item, $profile)
            ?? $this->contacts->findOrCreate($vendor, $person, $profile);
        if ($contact === null) {
            return Outcome::ignored('contact_without_id');
        }
        // Follows from the wamid, so that two calls at the same moment store it once.
        $uid = Uuid::of(Uuid::MESSAGES, "{$vendor->uid}:{$wamid}");
        $text = MessageText::of($item);
        [$effects, $replies, $bots] = $incoming && ! $update->isRaw()
            ? $this->replies->to(new IncomingMessage($vendor, $update, $contact, $uid, $text, $number))
            : [[], [], null];
        $effects = [...$effects, ...$this->announcements->of($vendor, $update)];
        $context = Json::section($item, 'context');
        $now = Time::text($this->clock->nowMs());
        $sentAt = Time::metaMs($item->timestamp ?? null);
        $forwarded = ($context->forwarded ?? null) === true || ($context->frequently_forwarded ?? null) === true;
        $kept = $effects === [] ? [] : ['effects' => KeptEffects::kept($effects)];
        $kept += $bots === null ? [] : ['bots' => $bots];
        $data = ['message' => Json::shallow($item), 'contact' => Json::shallow($part->contact)];
        $rows = [MessageRow::of($now, [
            '_uid' => $uid,
            'vendors__id' => $vendor->id,
            'contacts__id' => $contact->id,
            'status' => $incoming ? 'received' : 'sent',
            'wamid' => $wamid,
            'contact_wa_id' => $person->waId ?? $contact->waId,
            'wab_phone_number_id' => $number,
            'is_incoming_message' => (int) $incoming,
            'message' => $text,
            'messaged_at' => $sentAt === null ? $now : Time::text($sentAt),
            'is_forwarded' => (int) $forwarded,
            'replied_to_whatsapp_message_logs__uid' => $this->repliedTo($vendor, $context),
            '__data' => Json::dump($kept === [] ? $data : $data + ['sidecar' => $kept]),
        ]), ...$replies];
        if ($this->db->insertMissing('logs', $rows) < count($rows) && ! $this->kept->are($vendor, $wamid, $effects)) {
            throw new StoredMeanwhile();
        }

        return Outcome::done($effects);
    }

    private function repliedTo(Vendor $vendor, stdClass $context): ?string
    {
        $wamid = Envelope::text($context->id ?? null);
        $row = $wamid === null ? null : $this->db->row(
            'SELECT _uid FROM {logs} WHERE vendors__id = ? AND wamid = ? LIMIT 1',
            [$vendor->id, $wamid]
        );

        return $row === null ? null : $row->_uid;
    }
}
