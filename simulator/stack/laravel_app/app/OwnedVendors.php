<?php

declare(strict_types=1);

namespace App;

use App\Models\Vendor;

/** Every vendor is the sidecar's but those whose uids stand in storage/left-to-php, a line each. */
final class OwnedVendors
{
    /** @return 'all'|list<string> */
    public function __invoke(): string|array
    {
        $left = @file(storage_path('left-to-php'), FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES);

        return $left ? Vendor::query()->useWritePdo()->whereNotIn('_uid', $left)->pluck('_uid')->all() : 'all';
    }
}
