<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;

/** Finds the contact of an update by the ids that both carry; never a neighbour's. */
final class Contacts
{
    /** The members that name the other side of an element, and a contact. */
    public const NAMES = [
        'message' => ['from', 'from_user_id', 'from_parent_user_id'],
        'echo' => ['to', 'to_user_id', 'to_parent_user_id'],
        'status' => [
            'recipient_id', 'recipient_user_id', 'recipient_parent_user_id',
            'recipient_participant_id', 'recipient_participant_user_id', 'recipient_participant_parent_user_id',
        ],
        'contact' => ['wa_id', 'user_id', 'parent_user_id'],
    ];

    /** @var list<stdClass> */
    private array $all;

    /** @var array<string, stdClass> */
    private array $byName = [];

    public function __construct(stdClass $value)
    {
        $this->all = Envelope::objects($value->contacts ?? null);
        foreach ($this->all as $contact) {
            foreach (self::names($contact, 'contact') as $name) {
                $this->byName[$name] ??= $contact;
            }
        }
    }

    /**
     * Return the contact that an item is from or to. An item that names nobody may stand beside the only
     * contact: if it is alone, that is who is meant.
     */
    public function of(stdClass $item, string $kind, bool $isAlone): ?stdClass
    {
        $names = self::names($item, $kind);
        foreach ($names as $name) {
            if (isset($this->byName[$name])) {
                return $this->byName[$name];
            }
        }

        return $names === [] && $isAlone && count($this->all) === 1 ? $this->all[0] : null;
    }

    /** @return list<string> the ids that name somebody; a number in its shortest form */
    private static function names(stdClass $values, string $kind): array
    {
        $names = [];
        foreach (self::NAMES[$kind] as $member) {
            $name = Envelope::id($values->{$member} ?? null);
            $digits = $name === null ? null : Person::phoneDigits($name);
            if ($digits !== null) {
                $forms = Person::numberForms($digits);
                usort($forms, static fn (string $one, string $other): int => strlen($one) <=> strlen($other));
                $name = $forms[0];
            }
            if ($name !== null) {
                $names[] = " {$name}"; // an array's key of digits would become a number
            }
        }

        return $names;
    }
}
