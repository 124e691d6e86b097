<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Events;

use WhatsappSidecar\Laravel\Store\Vendor;

/**
 * The sidecar has reported media, which the message's row keeps, if there is one. It may be reported more
 * than once. A listener that throws has it reported again.
 */
final class MediaReported
{
    /** @param array<string, mixed> $media id, state, path, bytes, mime_type, sha256, reason, at */
    public function __construct(public Vendor $vendor, public string $wamid, public array $media)
    {
    }
}
