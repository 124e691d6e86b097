<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Statuses;

use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** How long a status of an unknown message may come again: its send may not be recorded yet. */
final class StatusGrace
{
    public function __construct(private int $graceS, private int $retryMs, private int $retryMaxMs)
    {
    }

    public function unknown(Update $update, int $nowMs): Outcome
    {
        $since = $update->receivedAt ?? Time::metaMs($update->part->item->timestamp ?? null);
        if ($since === null || $nowMs - $since >= $this->graceS * 1000) {
            return Outcome::ignored('message_unknown');
        }
        $waitMs = $this->retryMs * 2 ** min($update->attempt - 1, 30);

        return Outcome::retry('message_unknown', (int) min($waitMs, $this->retryMaxMs));
    }
}
