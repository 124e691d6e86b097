<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Bots;
use WhatsappSidecar\Laravel\Store\Vendors;

/** Returns all bots of vendors. */
final class ListBots
{
    private const MAX_VENDORS = 1000;

    public function __construct(private Vendors $vendors, private Bots $bots)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, ['vendor_uids', 'vendor_ids']);
        $uids = $input->texts('vendor_uids', self::MAX_VENDORS) ?? [];
        $ids = $input->integers('vendor_ids', self::MAX_VENDORS);
        $vendors = $this->vendors->load($uids) + $this->vendors->loadByIds($ids);

        return ['vendors' => $this->bots->of(array_values($vendors))];
    }
}
