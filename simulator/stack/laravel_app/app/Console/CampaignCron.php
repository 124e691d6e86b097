<?php

declare(strict_types=1);

namespace App\Console;

use App\Models\QueuedMessage;
use Illuminate\Console\Command;

/** What the campaign cron does to the queue before it sends, for those who want to see what it takes. */
final class CampaignCron extends Command
{
    protected $signature = 'campaign:process {--rows=60}';

    protected $description = 'Take due rows as the campaign cron does, and print their uids';

    public function handle(): int
    {
        foreach (QueuedMessage::takeDue((int) $this->option('rows')) as $row) {
            $this->line($row->_uid);
        }

        return 0;
    }
}
