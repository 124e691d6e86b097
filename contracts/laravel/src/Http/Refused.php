<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http;

use RuntimeException;

/** The call is answered with an error, and changes nothing. */
final class Refused extends RuntimeException
{
    public function __construct(public string $reason, string $message, public int $status)
    {
        parent::__construct($message);
    }

    public static function vendorUnknown(string $uid): self
    {
        return new self('vendor_unknown', "there is no vendor '{$uid}'", 404);
    }

    public static function campaignUnknown(string $vendorUid, string $uid): self
    {
        return new self('campaign_unknown', "vendor '{$vendorUid}' has no campaign '{$uid}'", 404);
    }

    public static function conflict(string $reason, string $message): self
    {
        return new self($reason, $message, 409);
    }

    public static function invalid(string $message): self
    {
        return new self('request_invalid', $message, 400);
    }

    public static function tooLarge(int $limit): self
    {
        return new self('body_too_large', "the body has more than {$limit} bytes", 413);
    }
}
