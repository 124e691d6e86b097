<?php

declare(strict_types=1);

namespace App;

use App\Models\Vendor;
use Illuminate\Contracts\Broadcasting\Factory;
use WhatsappSidecar\Laravel\Facades\Sidecar;

/** Tells open browsers of an update, and the vendor's own webhook: by the sidecar, if that has handed it over. */
final class Announcer
{
    private const EVENT = 'VendorChannelBroadcast';

    public function __construct(
        private VendorSettings $settings,
        private Factory $broadcasting,
        private CloudApi $network
    ) {
    }

    /** @param string $body the webhook */
    public function announce(Vendor $vendor, string $body): void
    {
        if ($this->settings->get($vendor->_id, 'broadcaster') !== null) {
            $connection = Sidecar::isHandling() ? 'whatsapp-sidecar' : null;
            $this->broadcasting->connection($connection)
                ->broadcast(["private-vendor-channel.{$vendor->_uid}"], self::EVENT, ['vendorUid' => $vendor->_uid]);
        }
        $url = $this->settings->get($vendor->_id, 'webhook_forward_url');
        if ($url !== null && Sidecar::isHandling()) {
            Sidecar::forward($vendor->_id);
        } elseif ($url !== null) {
            $this->network->post($url, $body);
        }
    }
}
