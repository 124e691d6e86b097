<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use WhatsappSidecar\Laravel\Support\Clock;

/** Checks calls against every key that is valid now, and lets no call through twice. */
final class Verifier
{
    public function __construct(
        private Keys $keys,
        private Nonces $nonces,
        private Clock $clock,
        private int $windowS,
        private string $audience = Signature::BACKEND
    ) {
    }

    /**
     * @param string $target path and query, exactly as they were sent
     * @param callable(string): ?string $header returns a header by its name
     *
     * @throws SignatureRefused
     */
    public function verify(string $method, string $target, callable $header, string $body): void
    {
        $key = (string) $header(Signature::KEY_HEADER);
        $timestamp = (string) $header(Signature::TIMESTAMP_HEADER);
        $nonce = (string) $header(Signature::NONCE_HEADER);
        $signature = (string) $header(Signature::SIGNATURE_HEADER);
        if ($key === '' || $timestamp === '' || $nonce === '' || $signature === '') {
            throw new SignatureRefused(SignatureRefused::MISSING);
        }
        if (
            ! preg_match('/^[A-Za-z0-9_-]{8,64}$/D', $nonce)
            || ! preg_match('/^[0-9]{1,12}\.[0-9]{3}$/D', $timestamp)
        ) {
            throw new SignatureRefused(SignatureRefused::MALFORMED);
        }
        $secret = $this->keys->secret($key);
        if ($secret === null) {
            throw new SignatureRefused(SignatureRefused::KEY_UNKNOWN);
        }
        $sentMs = (int) str_replace('.', '', $timestamp);
        if (abs($this->clock->nowMs() - $sentMs) > $this->windowS * 1000) {
            throw new SignatureRefused(SignatureRefused::TIMESTAMP_STALE);
        }
        $expected = Signature::of($secret, $this->audience, $method, $target, $timestamp, $nonce, $body);
        if (! hash_equals($expected, $signature)) {
            throw new SignatureRefused(SignatureRefused::MISMATCH);
        }
        if (! $this->nonces->claim($nonce, (int) $timestamp, 2 * $this->windowS + 1)) {
            throw new SignatureRefused(SignatureRefused::NONCE_REPEATED);
        }
    }
}
