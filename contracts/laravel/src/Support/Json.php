<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use JsonException;
use stdClass;

/**
 * JSON as it goes into columns and comes out of them. Objects are read as stdClass, so that an empty
 * object stays one; integers of more than 64 bits are read as text, so that no digit is lost.
 */
final class Json
{
    private const WRITE = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION
        | JSON_THROW_ON_ERROR;

    private const READ = JSON_BIGINT_AS_STRING | JSON_THROW_ON_ERROR;

    /** MariaDB takes no JSON that is nested deeper than 32 levels. */
    private const STORED_DEPTH = 24;

    public static function dump(mixed $value): string
    {
        return json_encode($value, self::WRITE);
    }

    /** @throws JsonException */
    public static function read(string $text): mixed
    {
        return json_decode($text, false, 512, self::READ);
    }

    /** Return the object in a column; an empty one if there is none. */
    public static function object(?string $text): stdClass
    {
        if ($text === null || $text === '') {
            return new stdClass();
        }
        try {
            $value = self::read($text);
        } catch (JsonException) {
            return new stdClass();
        }

        return $value instanceof stdClass ? $value : new stdClass();
    }

    /** Return the object under a name; an empty one if there is none. */
    public static function section(stdClass $data, string $name): stdClass
    {
        $value = $data->{$name} ?? null;

        return $value instanceof stdClass ? $value : new stdClass();
    }

    /** Return the list in a text; an empty one if it is none. */
    public static function list(?string $text): array
    {
        try {
            $value = self::read($text ?? '');
        } catch (JsonException) {
            return [];
        }

        return is_array($value) ? $value : [];
    }

    /** Return the value, or its JSON as a text if it is nested too deeply for a column. */
    public static function shallow(mixed $value): mixed
    {
        try {
            json_encode($value, self::WRITE, self::STORED_DEPTH);
        } catch (JsonException) {
            return self::dump($value);
        }

        return $value;
    }

    /** Return the text itself if it is JSON that a column takes, and as a JSON string if it is not. */
    public static function column(string $text): string
    {
        try {
            json_decode($text, false, self::STORED_DEPTH, JSON_THROW_ON_ERROR);
        } catch (JsonException) {
            return self::dump($text);
        }

        return $text;
    }
}
