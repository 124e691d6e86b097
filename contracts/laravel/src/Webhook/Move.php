<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/** Somebody has another number or user id: who they were, and who they are now. */
final class Move
{
    private const TYPES = ['user_changed_number', 'user_changed_user_id'];

    public function __construct(public Person $old, public Person $new)
    {
    }

    /** Return what a system message says that the person has become; null if it says no such thing. */
    public static function ofMessage(Person $person, stdClass $item): ?self
    {
        $system = Json::section($item, 'system');
        $type = $system->type ?? null;
        if (($item->type ?? null) !== 'system' || ! in_array($type, self::TYPES, true)) {
            return null;
        }
        $new = Person::of([$system->wa_id ?? null, $system->new_wa_id ?? null], [$system->user_id ?? null]);
        if ($type === 'user_changed_user_id') {
            // Its number, if there is one, is what it was.
            $new->waId ??= $person->waId;
            $new->userId ??= $person->userId;
        }
        $previous = Person::of([], [$system->previous_user_id ?? null, $person->userId]);

        return new self(new Person($person->waId, $previous->userId), $new);
    }

    /**
     * Return what the field user_id_update says.
     *
     * @return list<self>
     */
    public static function ofField(stdClass $value): array
    {
        $moves = [];
        foreach (Envelope::objects($value->user_id_update ?? null) as $update) {
            $ids = Json::section($update, 'user_id');
            $waId = $update->wa_id ?? null;
            $move = new self(
                Person::of([$waId], [$ids->previous ?? null]),
                Person::of([$waId], [$ids->current ?? null])
            );
            if ($move->new->userId !== null) {
                $moves[] = $move;
            }
        }

        return $moves;
    }
}
