<?php

declare(strict_types=1);

namespace App;

use RuntimeException;
use WhatsappSidecar\Laravel\Events\UpdateTaken;

/** Fails on updates that contain the text in storage/poison, for tests of isolation. */
final class PoisonListener
{
    public function handle(UpdateTaken $event): void
    {
        $text = @file_get_contents(storage_path('poison'));
        if ($text && str_contains($event->update->body(), $text)) {
            throw new RuntimeException("the update contains {$text}");
        }
    }
}
