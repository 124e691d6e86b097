<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Effects\Announcements;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Media\Requests;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Update;

/** All that is asked for because of one message, and what its row keeps of it. */
final class MessageEffects
{
    public function __construct(
        private Replies $replies,
        private Announcements $announcements,
        private Requests $media
    ) {
    }

    /**
     * @param IncomingMessage|null $message null for an echo
     *
     * @return array{list<array<string, mixed>>, list<array<string, mixed>>, array<string, mixed>} effects, the
     *     log rows of messages among them, and what is kept in the message's `__data`
     */
    public function of(Vendor $vendor, Update $update, ?IncomingMessage $message): array
    {
        [$effects, $rows, $sidecar] = $message === null ? [[], [], []] : $this->replies->to($message);
        [$fetch, $media] = $this->media->of($vendor, $update);
        $effects = [...$effects, ...$fetch, ...$this->announced($vendor, $update)];
        $sidecar += $effects === [] ? [] : ['effects' => KeptEffects::kept($effects)];

        return [$effects, $rows, $media + ($sidecar === [] ? [] : ['sidecar' => $sidecar])];
    }

    /** @return list<array<string, mixed>> */
    public function announced(Vendor $vendor, Update $update): array
    {
        return $this->announcements->of($vendor, $update);
    }
}
