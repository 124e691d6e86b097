<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Console;

use Illuminate\Console\Command;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\SidecarVendors;

/** Prints whose vendors are whose, and what waits for each. */
final class StatusCommand extends Command
{
    protected $signature = 'sidecar:status';

    protected $description = 'Show which vendors are the sidecar\'s and which are the crons\'';

    public function handle(Database $db, SidecarVendors $owned): int
    {
        $queued = array_column($db->rows(
            'SELECT vendors__id, COUNT(*) AS found FROM {queue} WHERE status = 1 GROUP BY vendors__id'
        ), 'found', 'vendors__id');
        $processing = array_column($db->rows(
            'SELECT vendors__id, COUNT(*) AS found FROM {queue} WHERE status = 3 GROUP BY vendors__id'
        ), 'found', 'vendors__id');
        $webhooks = array_column($db->rows(
            "SELECT vendors__id, COUNT(*) AS found FROM {webhooks} WHERE status = 'pending' GROUP BY vendors__id"
        ), 'found', 'vendors__id');
        $rows = [];
        foreach ($db->rows('SELECT _id, _uid, title FROM {vendors} ORDER BY _id') as $vendor) {
            $rows[] = [
                $vendor->_uid,
                $vendor->title,
                $owned->owns($vendor->_uid) ? 'sidecar' : 'php',
                $queued[$vendor->_id] ?? 0,
                $processing[$vendor->_id] ?? 0,
                $webhooks[$vendor->_id] ?? 0,
            ];
        }
        $this->table(['vendor', 'title', 'owner', 'queued', 'processing', 'pending webhooks'], $rows);

        return 0;
    }
}
