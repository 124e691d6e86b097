<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Media;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Asks for the media of messages that are stored. */
final class Requests
{
    public function __construct(private Folder $folder)
    {
    }

    /**
     * Return the effects, and what the message's `__data` keeps: nothing where the message has no media,
     * no folder is configured, or the answer has no place for effects.
     *
     * @return array{list<array<string, mixed>>, array<string, mixed>}
     */
    public function of(Vendor $vendor, Update $update): array
    {
        $media = $update->isRaw() || ! $this->folder->isOn() ? null : MessageMedia::of($update->part->item);
        if ($media === null) {
            return [[], []];
        }

        return [[$media->effect($vendor, (string) $update->part->wholeWamid())], ['media' => $media->kept()]];
    }
}
