<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Effects\Announcements;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Works on the tables itself, and does no network I/O. */
final class SchemaEngine implements Engine, StoresOnce
{
    public function __construct(
        private Database $db,
        private StoreMessage $messages,
        private AccountChanges $changes,
        private Announcements $announcements,
        private KeptEffects $kept
    ) {
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $part = $update->part;

        try {
            $outcome = $this->db->transaction(fn (): Outcome => match ($part->kind) {
                'message' => $this->message($vendor, $update),
                'echo' => $this->messages->store($vendor, $update, 'to', false),
                default => $this->changes->apply($vendor, $update),
            });
        } catch (StoredMeanwhile) {
            return Outcome::done($this->kept->ofMessage($vendor, (string) $part->wamid()));
        }

        // A message that was stored has its effects, which are kept with it.
        return $part->kind !== 'change' && $outcome->result === 'done'
            ? $outcome
            : $this->announcements->added($vendor, $update, $outcome);
    }

    private function message(Vendor $vendor, Update $update): Outcome
    {
        if (($update->part->item->type ?? null) === 'request_welcome') {
            return Outcome::ignored('request_welcome');
        }

        return $this->messages->store($vendor, $update, 'from', true);
    }
}
