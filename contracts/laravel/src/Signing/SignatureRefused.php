<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use RuntimeException;

/** A call that must be answered with 401. */
final class SignatureRefused extends RuntimeException
{
    public const MISSING = 'signature_missing';

    public const MALFORMED = 'signature_malformed';

    public const KEY_UNKNOWN = 'key_unknown';

    public const TIMESTAMP_STALE = 'timestamp_stale';

    public const MISMATCH = 'signature_mismatch';

    public const NONCE_REPEATED = 'nonce_repeated';

    private const EXPLANATIONS = [
        self::MISSING => 'the call carries no X-Sidecar-Signature, X-Sidecar-Key, X-Sidecar-Timestamp and '
            . 'X-Sidecar-Nonce headers; sign it',
        self::MALFORMED => 'a signing header is not of the documented form',
        self::KEY_UNKNOWN => 'the key id is not configured on this side; compare WHATSAPP_SIDECAR_KEYS',
        self::TIMESTAMP_STALE => "the call's time is too far from this machine's; compare the clocks",
        self::MISMATCH => 'the signature does not fit this receiver, method, path, body, time and nonce; compare '
            . 'the secrets, and look for a proxy that rewrites the path or the body',
        self::NONCE_REPEATED => 'this call has been made before; sign every attempt anew',
    ];

    /** @param string $reason one of the constants: the reason code in the answer */
    public function __construct(public string $reason)
    {
        parent::__construct(self::EXPLANATIONS[$reason]);
    }
}
