<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Console;

use Illuminate\Console\Command;
use WhatsappSidecar\Laravel\Store\Campaign;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\ModesTable;
use WhatsappSidecar\Laravel\Support\Json;

/** Prints who does which vendor's work, what waits for each, and which campaigns are paused. */
final class StatusCommand extends Command
{
    protected $signature = 'whatsapp-sidecar:status';

    protected $description = 'Show who does each vendor\'s work, and what waits';

    private const PAUSED = 'SELECT campaigns._uid, campaigns.__data, waiting.found FROM'
        . ' (SELECT campaigns__id, COUNT(*) AS found FROM {queue} WHERE status = 1 GROUP BY campaigns__id) AS waiting'
        . ' JOIN {campaigns} AS campaigns ON campaigns._id = waiting.campaigns__id'
        . " WHERE JSON_UNQUOTE(JSON_EXTRACT(campaigns.__data, '$.sidecar.state')) = 'paused' ORDER BY campaigns._id";

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
        foreach ($db->rows(self::PAUSED) as $campaign) {
            $reason = Campaign::reasonOf(Json::section(Json::object($campaign->__data), 'sidecar'));
            $this->line("campaign {$campaign->_uid} is paused" . ($reason === null ? '' : ": {$reason}")
                . "; {$campaign->found} queued");
        }

        return 0;
    }
}
