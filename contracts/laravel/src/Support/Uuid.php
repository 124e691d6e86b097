<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

/** Uids of rows. */
final class Uuid
{
    /** Namespaces; the first two are shared with the other implementation of the contract. */
    public const SENDS = '9d0c6f0a-5a5b-4f4f-9a49-6b1c2f2d7f10';

    public const WEBHOOKS = '0b0f6d1e-2c9c-4f55-8a55-1f6f6a0a4a5e';

    public const MESSAGES = '5e0b7c57-0a1f-4a0c-9b3c-8d8b1f0c6e21';

    public const CONTACTS = 'c1f6a9de-7f31-4c53-8a0e-4f6a2d1b9e34';

    public const EFFECTS = '2f7c1d80-51f4-4b7e-9c43-0d6a8e5b7c19';

    public const SETTINGS = '8d3e5f1a-7c29-4e06-a1b4-5f90c2d7e683';

    /** Return the uid that follows from a name (RFC 9562, version 5). */
    public static function of(string $namespace, string $name): string
    {
        $hash = sha1(hex2bin(str_replace('-', '', $namespace)) . $name, true);

        return self::format(substr($hash, 0, 16), 5);
    }

    public static function random(): string
    {
        return self::format(random_bytes(16), 4);
    }

    private static function format(string $bytes, int $version): string
    {
        $bytes[6] = chr(ord($bytes[6]) & 0x0F | $version << 4);
        $bytes[8] = chr(ord($bytes[8]) & 0x3F | 0x80);

        return vsprintf('%s%s-%s-%s-%s-%s%s%s', str_split(bin2hex($bytes), 4));
    }
}
