<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Campaign;
use WhatsappSidecar\Laravel\Store\Campaigns;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\SendableRows;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * Moves due rows of a campaign from 1 to 3 and returns them, in the order of `_id`.
 *
 * The campaign's row is locked meanwhile, so claims of one campaign take turns; the rows are locked as
 * they are read, and go from 1 to 3 in one statement.
 *
 * When a row expires stands in JSON, which no index covers. So that no claim reads all rows, only those
 * that are about to be claimed are looked at; the first expired one among them has all of the
 * campaign's expired rows end at once.
 */
final class ClaimMessages
{
    private const FIELDS = ['vendor_uid', 'campaign_uid', 'claim_uid', 'fence', 'limit', 'recover'];

    private const MAX_LIMIT = 1000;

    private const COLUMNS = 'queue._id, queue._uid, queue.phone_with_country_code, queue.retries,'
        . ' queue.contacts__id, queue.campaigns__id, queue.__data';

    private const CANDIDATES = 'SELECT ' . self::COLUMNS . ' FROM {queue} AS queue %s'
        . ' WHERE queue.campaigns__id = ? AND queue.status = 1 AND queue.scheduled_at <= ?'
        . ' ORDER BY queue._id LIMIT ? FOR UPDATE';

    private const HELD = 'SELECT ' . self::COLUMNS . ' FROM {queue} AS queue'
        . ' WHERE queue.campaigns__id = ? AND queue.status = 3'
        . " AND JSON_UNQUOTE(JSON_EXTRACT(queue.__data, '$.sidecar.claim.uid')) = ? ORDER BY queue._id";

    private const WAITING = 'SELECT COUNT(*) AS queued, SUM(scheduled_at <= ?) AS due,'
        . ' MIN(CASE WHEN scheduled_at > ? THEN scheduled_at END) AS next_due_at'
        . ' FROM {queue} WHERE status = 1 AND campaigns__id = ?';

    private const SWEEP = 'UPDATE {queue} SET status = 5, updated_at = ?, __data = JSON_MERGE_PATCH(__data, ?)'
        . ' WHERE campaigns__id = ? AND status = 1 AND (_id IN (%s) OR ' . self::EXPIRY . " <> '' AND " . self::EXPIRY
        . ' <= CASE WHEN ' . self::EXPIRY_GIVEN . " LIKE '%%Z' THEN ? ELSE ? END AND " . self::EXPIRY_GIVEN
        . " NOT REGEXP '[+-][0-9][0-9]:?[0-9][0-9]$')";

    private const EXPIRY_GIVEN = "NULLIF(JSON_UNQUOTE(JSON_EXTRACT(__data, '$.expiry_at')), 'null')";

    private const EXPIRY = 'REPLACE(LEFT(' . self::EXPIRY_GIVEN . ", 19), 'T', ' ')";

    public function __construct(
        private Database $db,
        private Campaigns $campaigns,
        private SendableRows $sendable,
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
        $claimUid = $input->text('claim_uid');
        $fence = $input->integer('fence', 0);
        $limit = $input->integer('limit', 1, self::MAX_LIMIT);
        $recover = $input->flag('recover');

        return $this->db->transaction(function () use (
            $vendorUid,
            $campaignUid,
            $claimUid,
            $fence,
            $limit,
            $recover
        ): array {
            $campaign = $this->campaigns->lock($vendorUid, $campaignUid);
            $campaign->checkFence($fence);
            if (! $recover) {
                $this->modes->checkCampaigns($vendorUid);
                $campaign->checkRunning();
            }
            $this->campaigns->rememberFence($campaign, $fence);
            $nowMs = $this->clock->nowMs();
            $expired = 0;
            if ($recover) {
                $rows = $this->db->rows(self::HELD, [$campaign->id, $claimUid]);
            } else {
                [$rows, $expired] = $this->take($campaign, $limit, $nowMs);
            }
            [$sendable, $skipped] = $this->sendable->of($campaign, $rows, Time::text($nowMs));
            if (! $recover) {
                $this->hold(array_column($sendable, 'id'), $claimUid, $fence, $nowMs);
            }

            return [
                'rows' => array_column($sendable, 'row'),
                'expired' => $expired,
                'skipped' => $skipped,
            ] + $this->waiting($campaign, $nowMs);
        });
    }

    /** @return array{list<stdClass>, int} rows that can be claimed, and how many had expired */
    private function take(Campaign $campaign, int $limit, int $nowMs): array
    {
        $now = Time::text($nowMs);
        $rows = $this->candidates($campaign, $limit, $now);
        $hasExpired = static fn (stdClass $row): bool => Queue::hasExpired($row, $now);
        $met = array_column(array_filter($rows, $hasExpired), '_id');
        if ($met === []) {
            return [$rows, 0];
        }
        $response = ['process_response' => [
            'error_message' => 'The message expired before it could be sent.',
            'error_status' => 'campaign_expired_error',
        ]];
        $expired = $this->db->change(
            sprintf(self::SWEEP, Database::marks($met)),
            [$now, Json::dump($response), $campaign->id, ...$met, Time::utc($nowMs), $now]
        );
        $rows = $this->candidates($campaign, $limit, $now);

        // Those whose expiry has an offset of its own end when a claim meets them.
        return [array_values(array_filter($rows, static fn (stdClass $row): bool => ! $hasExpired($row))), $expired];
    }

    /** @return list<stdClass> */
    private function candidates(Campaign $campaign, int $limit, string $now): array
    {
        // Left to itself, the database may walk the campaign's rows that were sent long ago.
        return $this->db->rowsByIndex(
            self::CANDIDATES,
            'sidecar_queue_claim',
            [$campaign->id, $now, $limit]
        );
    }

    /** @param list<int> $ids */
    private function hold(array $ids, string $claimUid, int $fence, int $nowMs): void
    {
        if ($ids !== []) {
            $claim = ['sidecar' => ['claim' => ['uid' => $claimUid, 'fence' => $fence, 'at' => $nowMs]]];
            $this->db->change(
                "UPDATE {queue} SET status = 3, updated_at = ?, __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?)"
                    . ' WHERE _id IN (' . Database::marks($ids) . ') AND status = 1',
                [Time::text($nowMs), Json::dump($claim), ...$ids]
            );
        }
    }

    /** @return array<string, int|null> */
    private function waiting(Campaign $campaign, int $nowMs): array
    {
        $now = Time::text($nowMs);
        $row = $this->db->row(self::WAITING, [$now, $now, $campaign->id]);

        return [
            'due' => (int) $row->due,
            'queued' => (int) $row->queued,
            'next_due_at' => Time::ms($row->next_due_at, $nowMs),
        ];
    }
}
