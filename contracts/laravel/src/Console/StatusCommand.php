<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Console;

use Illuminate\Console\Command;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\ModesTable;

/** Prints who does which vendor's work, and what waits for each. */
final class StatusCommand extends Command
{
    protected $signature = 'whatsapp-sidecar:status';

    protected $description = 'Show who does each vendor\'s work, and what waits';

    public function handle(Database $db, ModesTable $modes): int
    {
        $queued = array_column($db->rows(
            'SELECT vendors__id, COUNT(*) AS found FROM {queue} WHERE status = 1 GROUP BY vendors__id'
        ), 'found', 'vendors__id');
        $processing = array_column($db->rows(
            'SELECT vendors__id, COUNT(*) AS found FROM {queue} WHERE status = 3 GROUP BY vendors__id'
        ), 'found', 'vendors__id');
        $webhooks = array_column($db->rows(
            "SELECT vendors__id, COUNT(*) AS found FROM {webhooks} WHERE status = 'pending'"
                . ' AND vendors__id IS NOT NULL GROUP BY vendors__id'
        ), 'found', 'vendors__id');
        $rows = [];
        foreach ($modes->vendors(false) as $vendor) {
            $rows[] = [
                $vendor['uid'],
                $vendor['title'],
                ...array_values($vendor['modes']),
                $queued[$vendor['id']] ?? 0,
                $processing[$vendor['id']] ?? 0,
                $webhooks[$vendor['id']] ?? 0,
            ];
        }
        $this->table(
            ['vendor', 'title', ...Modes::CAPABILITIES, 'queued', 'processing', 'pending webhooks'],
            $rows
        );

        return 0;
    }
}
