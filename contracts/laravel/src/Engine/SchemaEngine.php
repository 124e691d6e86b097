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
final class SchemaEngine implements AppliesTogether
{
    public function __construct(
        private Database $db,
        private StoreMessage $one,
        private StoreMessages $many,
        private AccountChanges $changes,
        private Announcements $announcements,
        private KeptEffects $kept
    ) {
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $part = $update->part;

        try {
            $outcome = $this->db->transaction(fn (): Outcome => $part->kind === 'change'
                ? $this->changes->apply($vendor, $update)
                : $this->one->store($vendor, $update));
        } catch (StoredMeanwhile) {
            return Outcome::done($this->kept->ofMessage($vendor, (string) $part->wamid()));
        }

        return $this->announced($vendor, $update, $outcome);
    }

    /**
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, Outcome>
     */
    public function applyTogether(array $updates): array
    {
        $outcomes = $this->many->store($updates);
        foreach ($outcomes as $position => $outcome) {
            $outcomes[$position] = $this->announced(...[...$updates[$position], $outcome]);
        }

        return $outcomes;
    }

    /** A message that was stored has its effects, which are kept with it. */
    private function announced(Vendor $vendor, Update $update, Outcome $outcome): Outcome
    {
        return $update->part->kind !== 'change' && $outcome->result === 'done'
            ? $outcome
            : $this->announcements->added($vendor, $update, $outcome);
    }
}
