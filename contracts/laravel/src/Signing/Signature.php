<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

/** What is signed, and how: HMAC-SHA256 over method, target, time, nonce and the body's SHA-256. */
final class Signature
{
    public const KEY_HEADER = 'X-Sidecar-Key';

    public const TIMESTAMP_HEADER = 'X-Sidecar-Timestamp';

    public const NONCE_HEADER = 'X-Sidecar-Nonce';

    public const SIGNATURE_HEADER = 'X-Sidecar-Signature';

    public const SIDECAR = 'sidecar';

    public const BACKEND = 'backend';

    public const CONSOLE = 'console';

    private const VERSION = 'v2';

    /**
     * @param string $audience whom the call is for: one of the constants
     * @param string $target path and query, exactly as they go over the wire
     */
    public static function of(
        string $secret,
        string $audience,
        string $method,
        string $target,
        string $timestamp,
        string $nonce,
        string $body
    ): string {
        $text = implode("\n", [
            self::VERSION,
            $audience,
            strtoupper($method),
            $target,
            $timestamp,
            $nonce,
            hash('sha256', $body),
        ]);

        return self::VERSION . '=' . hash_hmac('sha256', $text, $secret);
    }
}
