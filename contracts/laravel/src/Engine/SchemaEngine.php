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
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Part;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Works on the tables itself, and does no network I/O. */
final class SchemaEngine implements Engine, StoresOnce
{
    public function __construct(
        private Database $db,
        private Contacts $contacts,
        private Vendors $vendors,
        private Clock $clock,
        private Replies $replies,
        private Announcements $announcements,
        private KeptEffects $kept
    ) {
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $part = $update->part;

        try {
            return $this->db->transaction(fn (): Outcome => match ($part->kind) {
                'message' => $this->message($vendor, $update),
                'echo' => $this->store($vendor, $update, 'to', false),
                default => $this->announced($vendor, $update, $this->change($vendor, $part)),
            });
        } catch (StoredMeanwhile) {
            return Outcome::done($this->kept->ofMessage($vendor, (string) $part->wamid()));
        }
    }

    private function announced(Vendor $vendor, Update $update, Outcome $outcome): Outcome
    {
        return $outcome->result === 'done' ? Outcome::done($this->announcements->of($vendor, $update)) : $outcome;
    }

    private function message(Vendor $vendor, Update $update): Outcome
    {
        if (($update->part->item->type ?? null) === 'request_welcome') {
            return Outcome::ignored('request_welcome');
        }

        return $this->store($vendor, $update, 'from', true);
    }

    /** Store a message once, with its contact (whom it is $from or $to), and what bots answer to it. */
    private function store(Vendor $vendor, Update $update, string $side, bool $incoming): Outcome
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
        $waId = Envelope::text($item->{$side} ?? null) ?? Envelope::text($part->contact->wa_id ?? null);
        $userId = Envelope::text($item->{"{$side}_user_id"} ?? null) ?? Envelope::text($part->contact->user_id ?? null);
        $name = Envelope::text(Json::section($part->contact, 'profile')->name ?? null);
        $contact = $this->contacts->findOrCreate($vendor, $waId, $userId, $name);
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
            'contact_wa_id' => $waId,
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

    private function change(Vendor $vendor, Part $part): Outcome
    {
        if ($part->field === 'account_update' && ($part->value->event ?? null) === 'PARTNER_REMOVED') {
            if ($vendor->setting('disconnected_at') === null) {
                $this->vendors->set($vendor, 'disconnected_at', $this->vendors->now());
            }

            return Outcome::done();
        }

        return $part->field === 'smb_app_state_sync'
            ? $this->syncContacts($vendor, $part->value)
            : Outcome::ignored('field_not_used');
    }

    /** Upsert the contacts of the business's phone. What was removed there is kept here. */
    private function syncContacts(Vendor $vendor, stdClass $value): Outcome
    {
        $outcome = Outcome::ignored('no_contacts');
        foreach (Envelope::objects($value->state_sync ?? null) as $change) {
            $contact = $change->contact ?? null;
            $added = ($change->type ?? null) === 'contact' && ($change->action ?? null) !== 'remove';
            if (! $added || ! $contact instanceof stdClass) {
                continue;
            }
            $waId = preg_replace('/[^0-9]/', '', Envelope::text($contact->phone_number ?? null) ?? '');
            if ($waId !== '') {
                $this->contacts->upsert(
                    $vendor,
                    $waId,
                    Envelope::text($contact->full_name ?? null),
                    Envelope::text($contact->first_name ?? null)
                );
                $outcome = Outcome::done();
            }
        }

        return $outcome;
    }
}
