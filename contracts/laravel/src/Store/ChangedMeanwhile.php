<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use RuntimeException;

/** Another call has changed or merged a contact since this one has read it: the transaction is made again. */
final class ChangedMeanwhile extends RuntimeException
{
    public function __construct()
    {
        parent::__construct('the contact was changed by another call meanwhile');
    }
}
