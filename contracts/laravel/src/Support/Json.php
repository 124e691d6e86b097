<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use JsonException;
use stdClass;

/**
 * JSON as it goes into columns and comes out of them, and is handed on. Objects are read as stdClass, so
 * that an empty object stays one; numbers that PHP would write in other digits as Number. Half characters
 * and bytes that are no UTF-8 become U+FFFD.
 */
final class Json
{
    private const WRITE = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION
        | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR;

    private const READ = JSON_BIGINT_AS_STRING | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR;

    private const BOM = "\xEF\xBB\xBF";

    /** What is written may stand deeper than what was read. */
    private const WRITTEN_DEPTH = 1024;

    /** Whether there may be numbers that PHP would write in other digits. */
    private const LONG_NUMBER = '/[:,\[\s]-?(?:[0-9]{17}|[0-9]{1,16}[.eE])/';

    /** Texts, which are skipped, and numbers. */
    private const NUMBERS = '/"(?:[^"\\\\]++|\\\\.)*+"(*SKIP)(*FAIL)'
        . '|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?/s';

    /** Escapes: whole pairs, halves, NULs at the beginning of a text (PHP has no such names), others. */
    private const ESCAPES = '/(\\\\u[dD][89abAB]\w\w\\\\u[dD][c-fC-F]\w\w)|(\\\\u[dD][89a-fA-F]\w\w)'
        . '|(?<=")(\\\\u0000)|\\\\./s';

    /** MariaDB takes no JSON that is nested deeper than 32 levels. */
    private const STORED_DEPTH = 24;

    public static function dump(mixed $value): string
    {
        $mark = self::mark();
        Number::$mark = $mark;
        try {
            $text = json_encode($value, self::WRITE, self::WRITTEN_DEPTH);
        } finally {
            Number::$mark = null;
        }

        return strpos($text, $mark) === false ? $text : preg_replace("/\"{$mark}([-+.0-9eE]++)\"/", '$1', $text);
    }

    /** @throws JsonException */
    public static function read(string $text): mixed
    {
        $text = strncmp($text, self::BOM, 3) === 0 ? substr($text, 3) : $text;
        $marked = preg_match(self::LONG_NUMBER, $text) ? self::marked($text) : $text;
        $value = self::decode($marked);

        return $marked === $text ? $value : self::numbers($value);
    }

    /** Return what no one outside can write into a text. */
    private static function mark(): string
    {
        static $mark = null;

        return $mark ??= 'number-' . bin2hex(random_bytes(12)) . '-';
    }

    /** Return the text with marked texts in place of the numbers whose digits PHP would not keep. */
    private static function marked(string $text): string
    {
        return preg_replace_callback(self::NUMBERS, static function (array $found): string {
            // false of what is beyond a float
            $written = json_encode(json_decode($found[0]), JSON_PRESERVE_ZERO_FRACTION);
            $kept = strlen($found[0]) < 18 && $written === $found[0];

            return $kept ? $found[0] : '"' . self::mark() . $found[0] . '"';
        }, $text) ?? $text;
    }

    /** @throws JsonException */
    private static function decode(string $text): mixed
    {
        try {
            return json_decode($text, false, 512, self::READ);
        } catch (JsonException $error) {
            if (! in_array($error->getCode(), [JSON_ERROR_UTF16, JSON_ERROR_INVALID_PROPERTY_NAME], true)) {
                throw $error;
            }
        }
        $whole = preg_replace_callback(
            self::ESCAPES,
            static fn (array $found): string => ($found[2] ?? '') . ($found[3] ?? '') === '' ? $found[0] : '\\ufffd',
            $text
        );

        return json_decode((string) $whole, false, 512, self::READ);
    }

    private static function numbers(mixed $value): mixed
    {
        if (is_string($value) && strncmp($value, self::mark(), strlen(self::mark())) === 0) {
            return new Number(substr($value, strlen(self::mark())));
        }
        if (is_array($value) || $value instanceof stdClass) {
            foreach ($value as &$one) {
                $one = self::numbers($one);
            }
        }

        return $value;
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
