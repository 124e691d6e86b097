<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use RuntimeException;

/** Rolls a transaction back whose update comes again. */
final class NotDone extends RuntimeException
{
}
