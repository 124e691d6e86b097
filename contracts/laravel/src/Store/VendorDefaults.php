<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** What every vendor has beside its own settings. */
final class VendorDefaults
{
    /**
     * @param list<string> $appSecrets valid for every vendor
     * @param array<string, string>|null $broadcaster of vendors that have none of their own
     */
    public function __construct(public array $appSecrets, public ?array $broadcaster)
    {
    }
}
