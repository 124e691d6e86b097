<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * What the business may answer in its own words: which messages, and for how long. The contract's
 * answering.py says the same, and contracts/vectors/answering.json holds the two together.
 */
final class Answering
{
    /**
     * Types in which a customer says something to the business. A reaction, an edit and a revoke belong
     * to another message; the others tell of the conversation, or of what Meta cannot show.
     */
    public const TYPES = [
        'text', 'image', 'video', 'document', 'audio', 'sticker', 'location', 'contacts', 'interactive', 'button',
        'order',
    ];

    /** Why nobody answers a message. */
    public const TYPE = 'type';

    public const GROUP = 'group';

    public const WINDOW_CLOSED = 'window_closed';

    /** Types that change the message that they name, and are none themselves. */
    private const CORRECTIONS = ['edit', 'revoke'];

    /** Types that stand for a message that Meta cannot show; it may come later, under the same id. */
    private const PLACEHOLDERS = ['unsupported', 'unknown'];

    /**
     * Meta takes free-form answers for 24 hours from the customer's message on. The last minutes are left
     * out: an answer waits for its slot, and clocks differ.
     */
    private const WINDOW_MS = (24 * 60 - 5) * 60_000;

    /**
     * @param list<string> $types what this installation allows
     * @param int $expiresS how long an answer may wait until it is sent
     */
    public function __construct(
        private array $types = self::TYPES,
        private bool $groups = false,
        private int $expiresS = 86400
    ) {
    }

    /** Return why no bot and no AI may answer a message, however new it is; null if they may. */
    public function refusal(stdClass $item): ?string
    {
        $type = $item->type ?? null;
        if (! is_string($type) || ! in_array($type, $this->types, true) || self::isCorrection($item)) {
            return self::TYPE;
        }

        return in_array($item->group_id ?? null, [null, ''], true) || $this->groups ? null : self::GROUP;
    }

    public static function isCorrection(stdClass $item): bool
    {
        return in_array($item->type ?? null, self::CORRECTIONS, true);
    }

    public static function isPlaceholder(stdClass $item): bool
    {
        return in_array($item->type ?? null, self::PLACEHOLDERS, true);
    }

    /**
     * Return when a message was sent, by its own timestamp. What cannot be read, or lies after the receipt,
     * counts as the receipt.
     */
    public static function sentMs(stdClass $item, int $receivedMs): int
    {
        return min(Time::metaMs($item->timestamp ?? null) ?? $receivedMs, $receivedMs);
    }

    /** Return until when a message may be answered, in unix ms. */
    public static function until(int $sentMs): int
    {
        return $sentMs + self::WINDOW_MS;
    }

    /** Return when an answer expires that is given now, in unix ms. */
    public function expiresAt(int $nowMs, int $until): int
    {
        return min($nowMs + $this->expiresS * 1000, $until);
    }
}
