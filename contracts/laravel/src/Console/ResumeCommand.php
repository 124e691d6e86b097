<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Console;

use Illuminate\Console\Command;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Campaigns;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;

/** Has paused campaigns go on, for an application whose sidecar is gone. */
final class ResumeCommand extends Command
{
    protected $signature = 'whatsapp-sidecar:resume {campaigns* : their _uid}';

    protected $description = 'Have paused campaigns go on, without the sidecar';

    private const VENDOR = 'SELECT vendors._uid FROM {campaigns} AS campaigns'
        . ' JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id WHERE campaigns._uid = ?';

    public function handle(Database $db, Campaigns $campaigns, Clock $clock): int
    {
        $failed = 0;
        foreach ((array) $this->argument('campaigns') as $uid) {
            try {
                $this->resume($db, $campaigns, (string) $uid, Time::text($clock->nowMs()));
                $this->line("{$uid} goes on");
            } catch (Refused $refused) {
                $this->line($refused->getMessage());
                $failed = 1;
            }
        }

        return $failed;
    }

    private function resume(Database $db, Campaigns $campaigns, string $uid, string $now): void
    {
        $vendor = $db->row(self::VENDOR, [$uid]);
        $db->transaction(static function () use ($campaigns, $vendor, $uid, $now): void {
            $campaign = $campaigns->lock($vendor->_uid ?? '', $uid);
            $campaign->checkNotCancelled();
            $campaigns->setState($campaign, 'running', null, $now);
        });
    }
}
