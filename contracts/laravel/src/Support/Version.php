<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

/** Which version of the package this is. */
final class Version
{
    /** The sidecar's of the same release. */
    public const PACKAGE = '0.1.0';
}
