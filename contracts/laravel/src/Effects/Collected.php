<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Update;

/** The update that is being handled, and the effects that were asked for meanwhile. */
final class Collected
{
    /** @var list<array<string, mixed>> */
    public array $effects = [];

    /** Whether all of them are kept with the message's row. */
    public bool $kept = true;

    /** Whether a transaction was rolled back meanwhile. */
    public bool $rolledBack = false;

    /** @var array<string, int> */
    private array $places = [];

    public function __construct(public Vendor $vendor, public Update $update)
    {
    }

    public function isOf(int|string $vendor): bool
    {
        return $vendor === $this->vendor->id || $vendor === $this->vendor->uid;
    }

    /** Return the id of an effect: the same each time that the update is handled. */
    public function id(string $place): string
    {
        $this->places[$place] = ($this->places[$place] ?? 0) + 1;

        return self::idOf($this->vendor, $this->update, "{$place}:{$this->places[$place]}");
    }

    /** @param string $place which of the update's effects it is */
    public static function idOf(Vendor $vendor, Update $update, string $place): string
    {
        return Uuid::of(Uuid::EFFECTS, "{$vendor->uid}:{$update->name()}:{$place}");
    }
}
