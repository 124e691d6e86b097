<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

/** Ids of calls that have been seen. */
interface Nonces
{
    /**
     * Remember the id, once and atomically. Return false if it was there already.
     *
     * @param int $timestamp the call's time, unix seconds; it is signed together with the id
     * @param int $ttlS how long the id must be remembered
     */
    public function claim(string $nonce, int $timestamp, int $ttlS): bool;
}
