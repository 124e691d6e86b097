<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Handles customers' messages, echoes and changes of the account; one at a time. */
interface Engine
{
    /**
     * Apply one update. It has not been applied before, as far as the log's wamids tell. An exception
     * has this update come again, and touches none of the others.
     */
    public function apply(Vendor $vendor, Update $update): Outcome;
}
