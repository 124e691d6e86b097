<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use DateTimeZone;
use InvalidArgumentException;

/**
 * Parses variables of the environment as the sidecar does (contracts/vectors/settings.json). Values of
 * another type come from a configuration file, and are taken as they are.
 */
final class Setting
{
    private const YES = ['1', 'true', 't', 'yes', 'y', 'on'];

    private const NO = ['0', 'false', 'f', 'no', 'n', 'off', ''];

    /** @return list<string> the parts of a text that stand between commas, without blank ones */
    public static function list(mixed $value): array
    {
        if (is_array($value)) {
            return array_values($value);
        }
        $parts = array_map(
            static fn (string $part): string => trim($part, " \t\r\n"),
            explode(',', (string) $value)
        );

        return array_values(array_filter($parts, 'strlen'));
    }

    /** @param string $name the variable that it comes from */
    public static function flag(mixed $value, string $name): bool
    {
        if ($value === null || is_bool($value)) {
            return (bool) $value;
        }
        $word = strtolower(trim((string) $value));
        if (in_array($word, self::YES, true)) {
            return true;
        }
        if (in_array($word, self::NO, true)) {
            return false;
        }
        throw new InvalidArgumentException("{$name} must be true or false");
    }

    /**
     * @param list<string> $words
     * @param string $name the variable that it comes from
     */
    public static function word(mixed $value, array $words, string $name): string
    {
        // Laravel makes a boolean of "false"; "off" stays a word.
        $word = $value === false ? 'off' : strtolower(trim((string) $value));

        return in_array($word, $words, true)
            ? $word
            : throw new InvalidArgumentException("{$name} must be one of " . implode(', ', $words));
    }

    /** @param string $name the variable that it comes from */
    public static function whole(mixed $value, int $least, int $most, string $name): int
    {
        $text = trim((string) $value);
        if (! preg_match('/^[0-9]{1,18}$/D', $text) || (int) $text < $least || (int) $text > $most) {
            throw new InvalidArgumentException("{$name} must be a whole number from {$least} to {$most}");
        }

        return (int) $text;
    }

    /**
     * @param string $name the variable that it comes from
     *
     * @return string without a slash at the end
     */
    public static function url(mixed $value, string $name): string
    {
        $text = (string) $value;
        $parts = parse_url($text) ?: [];
        $more = array_intersect_key($parts, array_flip(['user', 'pass', 'query', 'fragment']));
        $known = in_array($parts['scheme'] ?? '', ['http', 'https'], true) && ($parts['host'] ?? '') !== '';
        if (! $known || $more !== [] || ! preg_match('/^[!-~]+$/D', $text)) {
            throw new InvalidArgumentException(
                "{$name} must be an http:// or https:// address of a host, a port and a path"
            );
        }

        return rtrim($text, '/');
    }

    /** @param string $name the variable that it comes from */
    public static function zone(mixed $value, string $name): DateTimeZone
    {
        return in_array($value, DateTimeZone::listIdentifiers(DateTimeZone::ALL_WITH_BC), true)
            ? new DateTimeZone($value)
            : throw new InvalidArgumentException("{$name} must be a time zone, such as UTC or America/Sao_Paulo");
    }

    /** How far the two clocks may be apart, in seconds. */
    public static function window(): int
    {
        $value = config('whatsapp-sidecar.window');

        return self::whole($value === null || $value === '' ? 300 : $value, 10, 3600, 'WHATSAPP_SIDECAR_WINDOW');
    }
}
