<?php

declare(strict_types=1);

namespace App\Console;

use App\CampaignSends;
use App\Models\QueuedMessage;
use Illuminate\Console\Command;

/**
 * The application's own campaign cron, of the kind that the sidecar replaces: a message whose answer is late
 * may be sent twice, and what a dead process has taken is never sent.
 */
final class SendCampaigns extends Command
{
    protected $signature = 'campaign:send {--rows=60}';

    protected $description = 'Send due rows of campaigns';

    private const POOL = 50;

    private const STALE_S = 300;

    public function handle(CampaignSends $sends): int
    {
        $this->settle();
        $pools = QueuedMessage::takeDue((int) $this->option('rows'))->chunk(self::POOL);
        foreach ($pools as $position => $pool) {
            if ($position > 0) {
                sleep(1);
            }
            $sends->send($pool);
        }

        return 0;
    }

    /** End rows that a dead process has left in 3, and those that have expired. */
    private function settle(): void
    {
        $stale = QueuedMessage::where('status', 3)
            ->where('updated_at', '<', date('Y-m-d H:i:s', time() - self::STALE_S));
        foreach ($stale->get() as $row) {
            $row->become(6, [], 'awaited_response_error', 'The message may have been sent.');
        }
        $expired = QueuedMessage::where('status', 1)->where('__data->expiry_at', '<=', date('Y-m-d H:i:s'));
        foreach ($expired->get() as $row) {
            $row->become(5, [], 'campaign_expired_error', 'The message has expired.');
        }
    }
}
