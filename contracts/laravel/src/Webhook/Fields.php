<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;

/**
 * Which lists of a change hold single updates, by the change's field. A change of any field that is not
 * in the table is one update as Meta formed it, whatever lists it holds. The contract's fields.py has the
 * same table, and contracts/vectors/fields.json holds both to it.
 */
final class Fields
{
    public const LISTS = ['messages' => 'message', 'message_echoes' => 'echo', 'statuses' => 'status'];

    private const SPLIT = [
        'messages' => ['messages' => 'message', 'statuses' => 'status'],
        'smb_message_echoes' => ['message_echoes' => 'echo'],
    ];

    /**
     * Return the lists of a change that hold single updates, with the kind of each. Without a field it
     * may be any of them, as for the host's own routine.
     *
     * @return array<string, string>
     */
    public static function lists(mixed $field): array
    {
        return is_string($field) && $field !== '' ? self::SPLIT[$field] ?? [] : self::LISTS;
    }

    /** Return what an element of a list of this kind is. A call's status is none of a message. */
    public static function kind(string $kind, stdClass $item): string
    {
        $id = Envelope::text($item->id ?? null) ?? '';
        $isCall = ($item->type ?? null) === 'call' || str_starts_with($id, 'wacid.');

        return $kind === 'status' && $isCall ? 'change' : $kind;
    }
}
