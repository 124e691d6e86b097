<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel;

use Illuminate\Support\Facades\Facade;
use WhatsappSidecar\Laravel\Client\SidecarClient;

/**
 * The sidecar, for the admin's code.
 *
 * @method static array sendCampaign(string $campaignUid)
 * @method static array pause(string $campaignUid, ?string $reason = null)
 * @method static array resume(string $campaignUid, ?string $reason = null)
 * @method static array cancel(string $campaignUid, ?string $reason = null)
 * @method static array progress(string $campaignUid)
 * @method static array matchBot(string $vendorUid, string $message, ?array $contact = null)
 * @method static array invalidate(?array $vendorUids = null, array $scopes = ['settings', 'bots'])
 * @method static array health()
 *
 * @see SidecarClient
 */
final class Sidecar extends Facade
{
    protected static function getFacadeAccessor(): string
    {
        return SidecarClient::class;
    }
}
