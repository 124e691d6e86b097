<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Marks an engine that can handle messages and echoes together, in fewer statements than one by one. */
interface AppliesTogether extends Engine, StoresOnce
{
    /**
     * Apply the first of some messages, as far as they go together; all of these, or, with an exception, none. No
     * two of them are the same message.
     *
     * @param array<int, array{Vendor, Update}> $updates in their order
     *
     * @return array<int, Outcome> by the same keys; none of those from the first on that has to be applied by itself
     */
    public function applyTogether(array $updates): array;
}
