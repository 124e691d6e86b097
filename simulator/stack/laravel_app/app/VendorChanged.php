<?php

declare(strict_types=1);

namespace App;

use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;

/** An event of the application's own on a vendor's channel, which Laravel queues. */
final class VendorChanged implements ShouldBroadcast
{
    public function __construct(public string $vendorUid)
    {
    }

    public function broadcastOn(): PrivateChannel
    {
        return new PrivateChannel("vendor-channel.{$this->vendorUid}");
    }
}
