<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** Status codes of the queue. */
final class QueueStatus
{
    public const QUEUED = 1;

    public const ERROR = 2;

    public const PROCESSING = 3;

    public const AWAITING_STATUS = 4;

    public const EXPIRED = 5;

    public const UNKNOWN = 6;

    /** A row that has been given back this often and fails again is an error. */
    public const MAX_RETRIES = 5;
}
