<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

/**
 * Marks an engine that stores a message once, with the same effects, also when two calls bring it at the
 * same moment. Any other is called by one of them at a time.
 */
interface StoresOnce
{
}
