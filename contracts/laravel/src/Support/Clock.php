<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

/** The time, so that tests can stop it. */
class Clock
{
    /** Return unix milliseconds. */
    public function nowMs(): int
    {
        return (int) (microtime(true) * 1000);
    }
}
