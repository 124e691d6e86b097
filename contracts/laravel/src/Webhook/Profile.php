<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/** What a webhook says of a person besides who it is. */
final class Profile
{
    public function __construct(
        public ?string $name = null,
        public ?string $username = null,
        public ?string $parentUserId = null
    ) {
    }

    /** @param string $side from or to: which of the two the person is to the element */
    public static function of(stdClass $contact, stdClass $item, string $side): self
    {
        $profile = Json::section($contact, 'profile');
        $parent = Envelope::text($item->{"{$side}_parent_user_id"} ?? null)
            ?? Envelope::text($contact->parent_user_id ?? null);

        return new self(
            Envelope::text($profile->name ?? null),
            Envelope::text($profile->username ?? null),
            $parent
        );
    }
}
