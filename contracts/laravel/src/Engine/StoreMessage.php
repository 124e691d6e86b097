<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Contact;
use WhatsappSidecar\Laravel\Store\Columns;
use WhatsappSidecar\Laravel\Store\Contacts;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\MessageRow;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Part;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Profile;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Stores messages in the log, each once. */
final class StoreMessage
{
    /** What a placeholder's row takes over of the message that it stood for. */
    private const REPLACED = 'contacts__id = ?, message = ?, messaged_at = ?, is_forwarded = ?,'
        . ' replied_to_whatsapp_message_logs__uid = ?, __data = ?, updated_at = ?';

    private const IS_PLACEHOLDER = "JSON_UNQUOTE(JSON_EXTRACT(__data, '$.message.type')) IN ('unsupported', 'unknown')";

    public function __construct(
        private Database $db,
        private Contacts $contacts,
        private Clock $clock,
        private MessageEffects $effects,
        private Corrections $corrections,
        private KeptEffects $kept
    ) {
    }

    /**
     * Store a message once, with its contact (whom it is $from or $to), and what bots answer to it; or apply
     * an edit or a revoke to the message that it names.
     */
    public function store(Vendor $vendor, Update $update, string $side, bool $incoming): Outcome
    {
        $part = $update->part;
        $number = $part->phoneNumberId();
        if ($number === null || ! $vendor->hasPhoneNumber($number)) {
            return Outcome::ignored('phone_number_unknown');
        }
        if ($part->wamid() === null) {
            return Outcome::ignored('message_without_id');
        }
        $person = Person::ofItem($part->item, $part->contact, $side);
        if ($person->hasNumber($part->ownNumber())) {
            return Outcome::ignored('own_number');
        }
        if (Answering::isCorrection($part->item)) {
            return $this->correct($vendor, $update);
        }
        $profile = Profile::of($part->contact, $part->item, $side);
        $contact = $this->contacts->moved($vendor, $person, $part, $profile)
            ?? $this->contacts->findOrCreate($vendor, $person, $profile);
        if ($contact === null) {
            return Outcome::ignored('contact_without_id');
        }

        return $this->insert($vendor, $update, $contact, $this->columns($vendor, $update, $incoming) + [
            'contacts__id' => $contact->id,
            'contact_wa_id' => $person->waId ?? $contact->waId,
            'wab_phone_number_id' => $number,
        ]);
    }

    private function correct(Vendor $vendor, Update $update): Outcome
    {
        $outcome = $this->corrections->apply($vendor, $update);

        return $outcome->result === 'done'
            ? Outcome::done($this->effects->announced($vendor, $update))
            : $outcome;
    }

    /** @param array<string, mixed> $columns of the message's row */
    private function insert(Vendor $vendor, Update $update, Contact $contact, array $columns): Outcome
    {
        $part = $update->part;
        $message = $columns['is_incoming_message'] === 0 ? null : new IncomingMessage(
            $vendor,
            $update,
            $contact,
            $columns['_uid'],
            $columns['wab_phone_number_id'],
            $this->sentMs($update)
        );
        [$effects, $replies, $data] = $this->effects->of($vendor, $update, $message);
        $columns['__data'] = Json::dump([
            'message' => Json::shallow($part->item),
            'contact' => Json::shallow($part->contact),
        ] + $data + Wamid::data((string) Envelope::id($part->item->id)));
        $rows = [MessageRow::of($this->now(), $columns), ...$replies];
        $isStored = $this->db->insertMissing('logs', $rows)
            || $this->replaced($part, $rows[0])
            || $this->kept->are($vendor, (string) $part->wamid(), $effects);
        if (($part->item->type ?? null) === 'system') {
            $this->markSystem($columns['_uid']);
        }

        return $isStored ? Outcome::done($effects) : throw new StoredMeanwhile();
    }

    /** Not every installation has the column. */
    private function markSystem(string $uid): void
    {
        $columns = $this->db->connection()->getSchemaBuilder();
        if ($columns->hasColumn($this->db->table('logs'), 'is_system_message')) {
            $this->db->change('UPDATE {logs} SET is_system_message = 1 WHERE _uid = ?', [$uid]);
        }
    }

    /**
     * Let a message that Meta could not show at first take the row that stands for it.
     *
     * @param array<string, mixed> $row
     */
    private function replaced(Part $part, array $row): bool
    {
        return ! Answering::isPlaceholder($part->item) && $this->db->change(
            'UPDATE {logs} SET ' . self::REPLACED . ' WHERE _uid = ? AND ' . self::IS_PLACEHOLDER,
            [
                $row['contacts__id'],
                Columns::fit('logs', 'message', $row['message']),
                $row['messaged_at'],
                $row['is_forwarded'],
                $row['replied_to_whatsapp_message_logs__uid'],
                $row['__data'],
                $row['updated_at'],
                $row['_uid'],
            ]
        ) === 1;
    }

    /** @return array<string, mixed> what the message itself says */
    private function columns(Vendor $vendor, Update $update, bool $incoming): array
    {
        $item = $update->part->item;
        $wamid = (string) $update->part->wamid();
        $context = Json::section($item, 'context');
        $forwarded = ($context->forwarded ?? null) === true || ($context->frequently_forwarded ?? null) === true;

        return [
            // Follows from the wamid, so that two calls at the same moment store it once.
            '_uid' => $update->placeholder ?? Uuid::of(Uuid::MESSAGES, "{$vendor->uid}:{$wamid}"),
            'vendors__id' => $vendor->id,
            'status' => $incoming ? 'received' : 'sent',
            'wamid' => $wamid,
            'is_incoming_message' => (int) $incoming,
            'message' => MessageText::of($item),
            'messaged_at' => Time::text($this->sentMs($update)),
            'is_forwarded' => (int) $forwarded,
            'replied_to_whatsapp_message_logs__uid' => $this->named(
                $vendor,
                Json::section($item, 'reaction')->message_id ?? $context->id ?? null
            ),
        ];
    }

    /** Return the `_uid` of the message that a reply or a reaction names. */
    private function named(Vendor $vendor, mixed $wamid): ?string
    {
        $wamid = Envelope::id($wamid);
        $row = $wamid === null ? null : $this->db->row(
            'SELECT _uid FROM {logs} WHERE vendors__id = ? AND ' . Wamid::SAME . ' LIMIT 1',
            [$vendor->id, ...Wamid::same($wamid)]
        );

        return $row === null ? null : $row->_uid;
    }

    private function sentMs(Update $update): int
    {
        return Answering::sentMs($update->part->item, $update->receivedAt ?? $this->clock->nowMs());
    }

    private function now(): string
    {
        return Time::text($this->clock->nowMs());
    }
}
