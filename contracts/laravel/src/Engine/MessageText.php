<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** What a person would read in a message. */
final class MessageText
{
    /** Where the text stands, by the message's type. */
    private const PLACES = [
        'text' => 'body',
        'button' => 'text',
        'reaction' => 'emoji',
        'image' => 'caption',
        'video' => 'caption',
        'document' => 'caption',
        'system' => 'body',
        'order' => 'text',
    ];

    public static function of(stdClass $item): ?string
    {
        foreach (self::PLACES as $type => $name) {
            if (($item->{$type} ?? null) instanceof stdClass) {
                return Envelope::text($item->{$type}->{$name} ?? null);
            }
        }
        foreach (['button_reply', 'list_reply'] as $type) {
            $reply = $item->interactive->{$type} ?? null;
            if ($reply instanceof stdClass) {
                return Envelope::text($reply->title ?? null);
            }
        }

        return null;
    }
}
