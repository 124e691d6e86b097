<?php

declare(strict_types=1);

namespace App\Console;

use App\Models\QueuedMessage;
use Illuminate\Console\Command;

/** What the campaign cron does to the queue: reads the oldest due rows, and sets them to 3 one by one. */
final class CampaignCron extends Command
{
    protected $signature = 'campaign:process {--rows=60}';

    protected $description = 'Take due rows as the campaign cron does, and print their uids';

    public function handle(): int
    {
        $due = QueuedMessage::query()
            ->where('status', 1)
            ->where('scheduled_at', '<=', gmdate('Y-m-d H:i:s'))
            ->orderBy('_id')
            ->limit((int) $this->option('rows'))
            ->get();
        foreach ($due as $row) {
            $row->status = 3;
            $row->save();
            $this->line($row->_uid);
        }

        return 0;
    }
}
