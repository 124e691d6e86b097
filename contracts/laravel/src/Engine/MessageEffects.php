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

    /** @param list<IncomingMessage> $messages that are handled together */
    public function conversations(array $messages): Conversations
    {
        return $this->replies->conversations($messages);
    }

    /**
     * @param IncomingMessage|null $incoming null for an echo
     * @param Conversations $conversations which $incoming belongs to
     *
     * @return array{list<array<string, mixed>>, list<array<string, mixed>>, array<string, mixed>} effects, the
     *     log rows of messages among them, and what is kept in the message's `__data`
     */
    public function of(MessageUpdate $message, ?IncomingMessage $incoming, Conversations $conversations): array
    {
        [$vendor, $update] = [$message->vendor, $message->update];
        [$effects, $rows, $sidecar] = $incoming === null ? [[], [], []] : $this->replies->to($incoming, $conversations);
        [$fetch, $media] = $this->media->of($vendor, $update);
        $effects = [...$effects, ...$fetch, ...$this->announced($vendor, $update)];
        $sidecar += $effects === [] ? [] : ['effects' => KeptEffects::kept($effects)];
        $sidecar += $update->receivedAt === null ? [] : ['received_at' => $update->receivedAt];

        return [$effects, $rows, $media + ($sidecar === [] ? [] : ['sidecar' => $sidecar])];
    }

    /** @return list<array<string, mixed>> */
    public function announced(Vendor $vendor, Update $update): array
    {
        return $this->announcements->of($vendor, $update);
    }
}
