<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Support\Number;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/**
 * The text of a message, by its type. The contract's text.py says the same, and
 * contracts/vectors/answering.json holds the two together.
 */
final class MessageText
{
    /** Where a customer's own words stand. */
    private const SAID = [
        'text' => [['body']],
        'button' => [['text']],
        'interactive' => [['button_reply', 'title'], ['list_reply', 'title']],
        'image' => [['caption']],
        'video' => [['caption']],
        'document' => [['caption']],
        'order' => [['text']],
    ];

    /** Where further text stands that a person reads. */
    private const SHOWN = [
        'interactive' => [
            ['button_reply', 'title'],
            ['list_reply', 'title'],
            ['nfm_reply', 'body'],
            ['call_permission_reply', 'response'],
            ['body', 'text'],
        ],
        'reaction' => [['emoji']],
        'system' => [['body']],
    ] + self::SAID;

    /** Return the words that bots are compared with; "" if there are none. */
    public static function said(stdClass $item): string
    {
        return self::first($item, self::SAID) ?? '';
    }

    /**
     * Return what a person reads in a message, in the log; null where there is nothing to read. Also of a
     * message that is to be sent.
     */
    public static function of(stdClass $item): ?string
    {
        $content = is_string($item->type ?? null) ? $item->{$item->type} ?? null : null;

        return self::first($item, self::SHOWN) ?? match ($item->type ?? null) {
            'location' => self::location($content),
            'contacts' => self::contacts($content),
            'order' => self::order($content),
            default => null,
        };
    }

    /** @param array<string, list<list<string>>> $paths by type */
    private static function first(stdClass $item, array $paths): ?string
    {
        $type = is_string($item->type ?? null) ? $item->type : '';
        foreach ($paths[$type] ?? [] as $path) {
            $value = $item->{$type} ?? null;
            foreach ($path as $name) {
                $value = $value instanceof stdClass ? $value->{$name} ?? null : null;
            }
            if (Envelope::text($value) !== null) {
                return $value;
            }
        }

        return null;
    }

    /** Return name and address, or else the coordinates. */
    private static function location(mixed $place): ?string
    {
        if (! $place instanceof stdClass) {
            return null;
        }
        $latitude = self::degrees($place->latitude ?? null);
        $longitude = self::degrees($place->longitude ?? null);

        return self::joined([$place->name ?? null, $place->address ?? null])
            ?? ($latitude === null || $longitude === null ? null : "{$latitude}, {$longitude}");
    }

    private static function degrees(mixed $value): ?string
    {
        $value = $value instanceof Number ? (float) (string) $value : $value;

        return (is_int($value) || is_float($value)) && $value >= -180 && $value <= 180
            ? rtrim(rtrim(sprintf('%.6F', $value), '0'), '.')
            : null;
    }

    /** Return the names on contact cards. */
    private static function contacts(mixed $cards): ?string
    {
        return self::joined(array_map(
            static fn (stdClass $card): mixed => ($card->name ?? null) instanceof stdClass
                ? $card->name->formatted_name ?? null
                : null,
            Envelope::objects($cards)
        ));
    }

    /** Return how many there are of which product. */
    private static function order(mixed $order): ?string
    {
        $items = $order instanceof stdClass ? Envelope::objects($order->product_items ?? null) : [];

        return self::joined(array_map(static function (stdClass $item): ?string {
            $product = $item->product_retailer_id ?? null;
            $quantity = $item->quantity ?? null;

            return is_string($product) && (is_string($quantity) || is_int($quantity))
                ? "{$quantity} x {$product}"
                : null;
        }, $items));
    }

    /** @param array<mixed> $texts */
    private static function joined(array $texts): ?string
    {
        $texts = array_filter($texts, static fn (mixed $text): bool => Envelope::text($text) !== null);

        return $texts === [] ? null : implode(', ', $texts);
    }
}
