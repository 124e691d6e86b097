<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use Stringable;

/** Meta's webhook envelope. Nothing is taken for granted about the types in it. */
final class Envelope
{
    private const LISTS = ['messages' => 'message', 'message_echoes' => 'echo', 'statuses' => 'status'];

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
                if ($value instanceof stdClass) {
                    foreach (self::splitChange(self::text($change->field ?? null) ?? '', $value) as $part) {
                        $part->accountId = self::id($entry->id ?? null);
                        $parts[] = $part;
                    }
                }
            }
        }

        return $parts;
    }

    /** Return an envelope that holds nothing but this update. */
    public static function around(Part $part): stdClass
    {
        $value = clone $part->value;
        foreach (self::LISTS as $name => $kind) {
            if ($kind === $part->kind) {
                $value->{$name} = [$part->item];
            } elseif ($part->kind !== 'change') {
                unset($value->{$name});
            }
        }

        $account = $part->accountId === null ? [] : ['id' => $part->accountId];
        $changes = [(object) ['field' => $part->field, 'value' => $value]];

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
        $parts = [];
        foreach (self::LISTS as $name => $kind) {
            foreach (self::objects($value->{$name} ?? null) as $item) {
                $parts[] = new Part($kind, $field, $value, $item, self::contact($value, $item));
            }
        }

        return $parts === [] ? [new Part('change', $field, $value, $value, new stdClass())] : $parts;
    }

    /** Return the contact that belongs to the item: the one with its ids, or the only one. */
    private static function contact(stdClass $value, stdClass $item): stdClass
    {
        $contacts = self::objects($value->contacts ?? null);
        foreach ($contacts as $contact) {
            $waId = self::text($contact->wa_id ?? null);
            $userId = self::text($contact->user_id ?? null);
            if (
                ($waId !== null && in_array($waId, [$item->from ?? null, $item->to ?? null], true))
                || ($userId !== null
                    && in_array($userId, [$item->from_user_id ?? null, $item->to_user_id ?? null], true))
            ) {
                return $contact;
            }
        }

        return count($contacts) === 1 ? $contacts[0] : new stdClass();
    }
}
