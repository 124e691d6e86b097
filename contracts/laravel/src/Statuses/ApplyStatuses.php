<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Statuses;

use Throwable;
use WhatsappSidecar\Laravel\Effects\Announcements;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Applies statuses in a constant number of statements. */
final class ApplyStatuses
{
    public function __construct(
        private Database $db,
        private Queue $queue,
        private Clock $clock,
        private StatusGrace $grace,
        private Announcements $announcements
    ) {
    }

    /**
     * Apply all together; and if that fails, each by itself, so that one that cannot be written spoils
     * none of the others.
     *
     * @param array<int, array{Vendor, Update}> $statuses
     *
     * @return array<int, Outcome> by the same keys
     */
    public function apply(array $statuses): array
    {
        if ($statuses === []) {
            return [];
        }
        try {
            return $this->together($statuses);
        } catch (Throwable $error) {
            if (Conflict::is($error)) {
                throw $error;
            }
            report($error);
        }
        $outcomes = [];
        foreach ($statuses as $position => $status) {
            try {
                $outcomes += $this->together([$position => $status]);
            } catch (Throwable $error) {
                report($error);
                $outcomes[$position] = Outcome::failed($error);
            }
        }

        return $outcomes;
    }

    /**
     * @param array<int, array{Vendor, Update}> $statuses
     *
     * @return array<int, Outcome>
     */
    private function together(array $statuses): array
    {
        $outcomes = $this->db->transaction(
            fn (): array => (new StatusBatch(
                $this->db,
                $this->queue,
                $this->grace,
                $this->clock->nowMs(),
                $statuses
            ))->apply()
        );
        foreach ($outcomes as $position => $outcome) {
            $outcomes[$position] = $this->announcements->added(...[...$statuses[$position], $outcome]);
        }

        return $outcomes;
    }
}
