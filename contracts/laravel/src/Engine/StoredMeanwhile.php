<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use RuntimeException;

/** Another call has stored the message at the same moment, and decided otherwise. */
final class StoredMeanwhile extends RuntimeException
{
}
