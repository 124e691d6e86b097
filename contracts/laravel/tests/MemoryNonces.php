<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use WhatsappSidecar\Laravel\Signing\Nonces;

final class MemoryNonces implements Nonces
{
    /** @var array<string, true> */
    private array $seen = [];

    public function claim(string $nonce, int $timestamp, int $ttlS): bool
    {
        $new = ! isset($this->seen[$nonce]);
        $this->seen[$nonce] = true;

        return $new;
    }
}
