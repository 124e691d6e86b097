<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use RuntimeException;

/** A message whose contact cannot be told together with those of others: contacts to be merged, say. */
final class Apart extends RuntimeException
{
}
