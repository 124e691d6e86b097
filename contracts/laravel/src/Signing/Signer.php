<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use WhatsappSidecar\Laravel\Support\Clock;

/** Signs calls to the sidecar. */
final class Signer
{
    /** @param string $audience whom it signs calls for: one of Signature's constants */
    public function __construct(
        private Keys $keys,
        private Clock $clock,
        private string $audience = Signature::SIDECAR
    ) {
    }

    /**
     * Return the four headers for one attempt of one call; a retry is signed anew.
     *
     * @return array<string, string>
     */
    public function headers(string $method, string $target, string $body): array
    {
        [$id, $secret] = $this->keys->signing();
        $nowMs = $this->clock->nowMs();
        $timestamp = sprintf('%d.%03d', intdiv($nowMs, 1000), $nowMs % 1000);
        $nonce = bin2hex(random_bytes(16));

        return [
            Signature::KEY_HEADER => $id,
            Signature::TIMESTAMP_HEADER => $timestamp,
            Signature::NONCE_HEADER => $nonce,
            Signature::SIGNATURE_HEADER => Signature::of(
                $secret,
                $this->audience,
                $method,
                $target,
                $timestamp,
                $nonce,
                $body
            ),
        ];
    }
}
