<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Client;

use RuntimeException;

/** The sidecar refused a call, or could not be reached. */
final class SidecarError extends RuntimeException
{
    /**
     * @param string|null $reason the reason code of a refusal
     * @param int|null $status the HTTP status; null if there was no answer
     */
    public function __construct(string $message, public ?string $reason = null, public ?int $status = null)
    {
        parent::__construct($message);
    }
}
