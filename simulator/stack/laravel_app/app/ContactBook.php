<?php

declare(strict_types=1);

namespace App;

use App\Models\Contact;
use Illuminate\Support\Str;

/** Finds a vendor's contacts by number, or by the user id of those who hide it, and creates them. */
final class ContactBook
{
    /** @param array<mixed> $ids what a webhook names a person by */
    public function findOrCreate(int $vendorId, array $ids, mixed $name): ?Contact
    {
        $ids = array_filter(array_map(
            static fn (mixed $id): string => is_string($id) || is_int($id) ? ltrim((string) $id, '+') : '',
            $ids
        ));
        $waId = current(array_filter($ids, 'ctype_digit')) ?: null;
        $userId = current(array_filter($ids, static fn (string $id): bool => ! ctype_digit($id))) ?: null;
        if ($waId === null && $userId === null) {
            return null;
        }
        $contacts = Contact::query()->where('vendors__id', $vendorId);
        $found = $waId === null ? null : (clone $contacts)->where('wa_id', $waId)->first();
        $found ??= $userId === null ? null : $contacts->where('__data->user_id', $userId)->first();

        return $found === null
            ? $this->create($vendorId, $waId, $userId, is_scalar($name) ? (string) $name : '')
            : self::learn($found, $waId, $userId);
    }

    /** Have a contact known by one of the two ids learn the other. */
    private static function learn(Contact $contact, ?string $waId, ?string $userId): Contact
    {
        $contact->wa_id ??= $waId;
        if ($userId !== null && ($contact->__data['user_id'] ?? null) !== $userId) {
            $contact->__data = ['user_id' => $userId] + ($contact->__data ?? []);
        }
        $contact->save();

        return $contact;
    }

    private function create(int $vendorId, ?string $waId, ?string $userId, string $name): Contact
    {
        [$first, $last] = explode(' ', trim($name), 2) + [1 => ''];

        return Contact::query()->forceCreate([
            '_uid' => (string) Str::uuid(),
            'vendors__id' => $vendorId,
            'wa_id' => $waId,
            'first_name' => $first === '' ? null : mb_substr($first, 0, 150),
            'last_name' => $last === '' ? null : mb_substr($last, 0, 150),
            '__data' => $userId === null ? null : ['user_id' => $userId],
        ])->refresh();
    }
}
