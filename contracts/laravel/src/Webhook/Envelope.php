<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use Stringable;

/** Meta's webhook envelope. Nothing is taken for granted about the types in it. */
final class Envelope
{
    /**
     * Return every update of a webhook, in its order.
     *
     * @return list<Part>
     */
    public static function split(stdClass $webhook): array
    {
        $parts = [];
        foreach (self::objects($webhook->entry ?? null) as $entry) {
            foreach (self::objects($entry->changes ?? null) as $change) {
                $value = $change->value ?? null;
                $value = $value instanceof stdClass ? $value : new stdClass();
                foreach (self::splitChange(self::text($change->field ?? null) ?? '', $value) as $part) {
                    $part->accountId = self::id($entry->id ?? null);
                    $parts[] = $part;
                }
            }
        }

        return $parts;
    }

    /** Return an envelope that holds nothing but this update. */
    public static function around(Part $part): stdClass
    {
        $account = $part->accountId === null ? [] : ['id' => $part->accountId];
        $changes = [(object) ['field' => $part->field, 'value' => $part->value]];

        return (object) [
            'object' => 'whatsapp_business_account',
            'entry' => [(object) ($account + ['changes' => $changes])],
        ];
    }

    /**
     * Return the objects in a list; none if it is no list.
     *
     * @return list<stdClass>
     */
    public static function objects(mixed $value): array
    {
        return is_array($value)
            ? array_values(array_filter($value, static fn (mixed $item): bool => $item instanceof stdClass))
            : [];
    }

    /** Return a text that is not empty, or null. */
    public static function text(mixed $value): ?string
    {
        return is_string($value) && $value !== '' ? $value : null;
    }

    /** Return an id as text, whether it was written as text or as a whole number; else null. */
    public static function id(mixed $value): ?string
    {
        if (is_int($value) || ($value instanceof Stringable && preg_match('/\A-?[0-9]+\z/', (string) $value) === 1)) {
            return (string) $value;
        }

        return self::text($value);
    }

    /** @return list<Part> */
    private static function splitChange(string $field, stdClass $value): array
    {
        $lists = array_filter(
            Fields::lists($field),
            static fn (string $name): bool => ! in_array($value->{$name} ?? null, [null, []], true),
            ARRAY_FILTER_USE_KEY
        );
        if ($lists === []) {
            return [new Part('change', $field, $value, $value, new stdClass())];
        }
        $parts = [];
        $contacts = new Contacts($value);
        [$shared, $beside] = self::aroundLists($field, $value);
        $items = array_map(static fn (string $name): array => self::objects($value->{$name}), array_keys($lists));
        $isAlone = count(array_merge(...$items)) === 1;
        foreach (array_combine(array_keys($lists), $items) as $name => $some) {
            foreach ($some as $item) {
                $kind = Fields::kind($lists[$name], $item);
                $contact = $kind === 'change' ? null : $contacts->of($item, $kind, $isAlone);
                $own = (object) ((array) $shared + [$name => [$item]] + ($contact ? ['contacts' => [$contact]] : []));
                $parts[] = new Part($kind, $field, $own, $kind === 'change' ? $own : $item, $contact ?? new stdClass());
            }
        }

        return $beside === null ? $parts : [...$parts, new Part('change', $field, $beside, $beside, new stdClass())];
    }

    /**
     * Return what goes with each update of a value, and, if there are other lists beside them, the value
     * without the updates, which goes once.
     *
     * @return array{stdClass, ?stdClass}
     */
    private static function aroundLists(string $field, stdClass $value): array
    {
        $beside = array_diff_key((array) $value, Fields::lists($field));
        $shared = array_filter($beside, static fn (mixed $member): bool => ! is_array($member) || $member === []);
        unset($shared['contacts']);
        $others = array_diff_key($beside, $shared, ['contacts' => true]);

        return [(object) $shared, $others === [] ? null : (object) $beside];
    }
}
