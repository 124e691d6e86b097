<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use JsonSerializable;

/** A number of a JSON text that PHP would write in other digits. Json::dump() writes its own. */
final class Number implements JsonSerializable
{
    /** Stands before the digits while Json::dump() writes, so that they can be told from texts. */
    public static ?string $mark = null;

    public function __construct(private string $digits)
    {
    }

    public function __toString(): string
    {
        return $this->digits;
    }

    public function jsonSerialize(): mixed
    {
        return self::$mark === null
            ? json_decode($this->digits, false, 512, JSON_BIGINT_AS_STRING)
            : self::$mark . $this->digits;
    }
}
