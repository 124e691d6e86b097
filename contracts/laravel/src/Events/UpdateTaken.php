<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Events;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Update;

/** An update is about to be applied. A listener that throws has this update, and no other, come again. */
final class UpdateTaken
{
    public function __construct(public Vendor $vendor, public Update $update)
    {
    }
}
