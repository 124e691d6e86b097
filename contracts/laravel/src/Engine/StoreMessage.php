<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Columns;
use WhatsappSidecar\Laravel\Store\Contacts;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Stores a message in the log, once. */
final class StoreMessage
{
    /** What a placeholder's row takes over of the message that it stood for. */
    private const REPLACED = 'contacts__id = ?, message = ?, messaged_at = ?, is_forwarded = ?,'
        . ' replied_to_whatsapp_message_logs__uid = ?, __data = ?, updated_at = ?';

    private const IS_PLACEHOLDER = "JSON_UNQUOTE(JSON_EXTRACT(__data, '$.message.type')) IN ('unsupported', 'unknown')";

    public function __construct(
        private Database $db,
        private Contacts $contacts,
        private MessageEffects $effects,
        private Corrections $corrections,
        private KeptEffects $kept,
        private Clock $clock
    ) {
    }

    /**
     * Store a message with its contact, and what bots answer to it; or apply an edit or a revoke to the message
     * that it names.
     */
    public function store(Vendor $vendor, Update $update): Outcome
    {
        $message = new MessageUpdate($vendor, $update, $this->clock->nowMs());
        $refusal = $message->refusal();
        if ($refusal !== null) {
            return $refusal;
        }
        if (Answering::isCorrection($message->update->part->item)) {
            return $this->correct($message);
        }
        $move = $message->move();
        $profile = $message->profile();
        $contact = ($move === null ? null : $this->contacts->follow($message->vendor, $move, $profile))
            ?? $this->contacts->findOrCreate($message->vendor, $message->person, $profile);
        if ($contact === null) {
            return Outcome::ignored('contact_without_id');
        }
        $message->contact = $contact;

        return $this->insert($message);
    }

    private function correct(MessageUpdate $message): Outcome
    {
        $outcome = $this->corrections->apply($message->vendor, $message->update);

        return $outcome->result === 'done'
            ? Outcome::done($this->effects->announced($message->vendor, $message->update))
            : $outcome;
    }

    private function insert(MessageUpdate $message): Outcome
    {
        $part = $message->update->part;
        $incoming = $message->incoming();
        $conversations = $this->effects->conversations($incoming === null ? [] : [$incoming]);
        [$effects, $replies, $data] = $this->effects->of($message, $incoming, $conversations);
        foreach ($conversations->switches() as $id => $columns) {
            $this->contacts->change($id, $columns);
        }
        $rows = [$message->row($this->quoted($message), $data), ...$replies];
        $isStored = $this->db->insertMissing('logs', $rows)
            || $this->replaced($message, $rows[0])
            || $this->kept->are($message->vendor, (string) $part->wamid(), $effects);
        if (($part->item->type ?? null) === 'system') {
            $this->markSystem($message->uid());
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
    private function replaced(MessageUpdate $message, array $row): bool
    {
        return ! Answering::isPlaceholder($message->update->part->item) && $this->db->change(
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

    /** Return the `_uid` of the message that a reply or a reaction names. */
    private function quoted(MessageUpdate $message): ?string
    {
        $wamid = $message->quoted();
        $row = $wamid === null ? null : $this->db->row(
            'SELECT _uid FROM {logs} WHERE vendors__id = ? AND ' . Wamid::SAME . ' LIMIT 1',
            [$message->vendor->id, ...Wamid::same($wamid)]
        );

        return $row === null ? null : $row->_uid;
    }
}
