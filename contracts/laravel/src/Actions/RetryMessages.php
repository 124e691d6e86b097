<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Results\FailedRows;
use WhatsappSidecar\Laravel\Store\Campaign;
use WhatsappSidecar\Laravel\Store\Campaigns;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * Puts a campaign's failed rows back into the queue, page by page, if they certainly were not sent.
 *
 * The campaign's row is locked meanwhile, as for a claim: a cancel comes before or after.
 */
final class RetryMessages
{
    private const FIELDS = ['vendor_uid', 'campaign_uid', 'codes', 'limit', 'after', 'dry_run'];

    private const MAX_ROWS = 1000;

    private const MAX_CODES = 100;

    private const FAILED = 'SELECT queue._id, queue.updated_at, queue.retries, queue.__data FROM {queue} AS queue %s'
        . ' WHERE queue.campaigns__id = ? AND queue.status = 2 AND queue._id > ?'
        . ' ORDER BY queue._id LIMIT ? FOR UPDATE';

    public function __construct(
        private Database $db,
        private Campaigns $campaigns,
        private Queue $queue,
        private Clock $clock,
        private Modes $modes
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $vendorUid = $input->text('vendor_uid');
        $campaignUid = $input->text('campaign_uid');
        $codes = $input->texts('codes', self::MAX_CODES);
        if ($codes === []) {
            throw Refused::invalid('codes: must have from 1 to ' . self::MAX_CODES . ' elements');
        }
        $limit = $input->integer('limit', 1, self::MAX_ROWS, self::MAX_ROWS);
        $after = self::place($input->optionalText('after'));
        $dryRun = $input->flag('dry_run');

        return $this->db->transaction(function () use (
            $vendorUid,
            $campaignUid,
            $codes,
            $limit,
            $after,
            $dryRun
        ): array {
            $campaign = $this->campaigns->lock($vendorUid, $campaignUid);
            $this->modes->checkCampaigns($vendorUid);
            $campaign->checkNotCancelled();
            $rows = $this->failed($campaign, $after, $limit + 1);
            $page = array_slice($rows, 0, $limit);
            $now = Time::text($this->clock->nowMs());
            $failed = new FailedRows($page, $codes, $now);
            if (! $dryRun) {
                $this->queue->retry($failed->retriable, $now);
            }

            return $failed->answer() + ['next' => count($rows) > $limit ? (string) end($page)->_id : null];
        });
    }

    /** @return int `_id` of the row that a page ended with */
    private static function place(?string $after): int
    {
        if ($after !== null && preg_match('/\A[0-9]{1,18}\z/', $after) !== 1) {
            throw Refused::invalid('after: must be next of the page before');
        }

        return (int) $after;
    }

    /** @return list<stdClass> */
    private function failed(Campaign $campaign, int $after, int $limit): array
    {
        return $this->db->rowsByIndex(self::FAILED, 'sidecar_queue_claim', [$campaign->id, $after, $limit]);
    }
}
