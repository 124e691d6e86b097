<?php

declare(strict_types=1);

namespace App\Models;

/** The connection that the tables are on, which need not be the default one. */
trait OnTheTables
{
    public function getConnectionName(): ?string
    {
        return config('whatsapp-sidecar.connection') ?: null;
    }
}
