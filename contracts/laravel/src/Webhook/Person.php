<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;

/**
 * Who a message is from or to: a phone number, a user id, or both. People with a username may hide their
 * number; a user id stands then alone, sometimes in the members that used to hold the number. The
 * contract's people.py says the same, and contracts/vectors/people.json holds the two together.
 */
final class Person
{
    private const FORMATTING = ['+', ' ', '-', '(', ')', '.'];

    /**
     * @param string|null $waId digits with the country code
     * @param string|null $userId within the business's portfolio
     */
    public function __construct(public ?string $waId = null, public ?string $userId = null)
    {
    }

    /**
     * Return who is meant by members that hold a number or a user id, in order of precedence, and by
     * those that hold user ids only. Numbers of JSON count as their digits.
     *
     * @param list<mixed> $candidates
     * @param list<mixed> $userIds
     */
    public static function of(array $candidates, array $userIds = []): self
    {
        $person = new self();
        foreach (self::texts($candidates) as $text) {
            $digits = self::phoneDigits($text);
            if ($digits === null) {
                $person->userId ??= $text;
            } else {
                $person->waId ??= $digits;
            }
        }
        $person->userId = self::texts($userIds)[0] ?? $person->userId;

        return $person;
    }

    /**
     * Return whom an element is from or to, by itself and by the contact that belongs to it.
     *
     * @param string $side from or to
     */
    public static function ofItem(stdClass $item, stdClass $contact, string $side): self
    {
        return self::of(
            [$item->{$side} ?? null, $contact->wa_id ?? null],
            [$item->{"{$side}_user_id"} ?? null, $contact->user_id ?? null]
        );
    }

    public function isKnown(): bool
    {
        return $this->waId !== null || $this->userId !== null;
    }

    /** Tell whether this is who has the number, in whatever form that is written. */
    public function hasNumber(mixed $number): bool
    {
        $digits = self::phoneDigits(self::texts([$number])[0] ?? '');

        return $digits !== null && $this->waId !== null && in_array($digits, self::numberForms($this->waId), true);
    }

    /** Return the digits of a phone number; null of what is none (a user id, a group's id). */
    public static function phoneDigits(string $text): ?string
    {
        $digits = str_replace(self::FORMATTING, '', $text);

        return preg_match('/\A[0-9]{5,20}\z/', $digits) === 1 ? $digits : null;
    }

    /**
     * Return the forms in which the same number may be written, the given one first.
     *
     * @return list<string>
     */
    public static function numberForms(string $digits): array
    {
        $length = strlen($digits);
        $starts = static fn (string $prefix): bool => str_starts_with($digits, $prefix);
        $other = match (true) {
            $starts('55') && $length === 13 && $digits[4] === '9' => substr($digits, 0, 4) . substr($digits, 5),
            $starts('55') && $length === 12 => substr($digits, 0, 4) . '9' . substr($digits, 4),
            $starts('521') && $length === 13 => '52' . substr($digits, 3),
            $starts('52') && $length === 12 => '521' . substr($digits, 2),
            $starts('549') && $length === 13 => '54' . substr($digits, 3),
            $starts('54') && $length === 12 => '549' . substr($digits, 2),
            default => null,
        };

        return $other === null ? [$digits] : [$digits, $other];
    }

    /** @return list<string> those that are texts or whole numbers, and not empty */
    private static function texts(array $values): array
    {
        $isText = static fn (?string $text): bool => $text !== null;

        return array_values(array_filter(array_map([Envelope::class, 'id'], $values), $isText));
    }
}
