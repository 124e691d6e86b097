<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use WhatsappSidecar\Laravel\Support\Clock;

final class StoppedClock extends Clock
{
    public function __construct(public int $ms)
    {
    }

    public function nowMs(): int
    {
        return $this->ms;
    }
}
