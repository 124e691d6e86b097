<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Campaign;
use WhatsappSidecar\Laravel\Store\Campaigns;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;

/** Returns rows that were not sent from 3 to 1, and keeps the campaign's state if one is given. */
final class ReleaseMessages
{
    private const FIELDS = [
        'vendor_uid',
        'campaign_uid',
        'row_uids',
        'claim_uid',
        'campaign_state',
        'restart',
        'reason',
    ];

    private const MAX_ROWS = 1000;

    public function __construct(private Database $db, private Campaigns $campaigns, private Clock $clock)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $vendorUid = $input->text('vendor_uid');
        $campaignUid = $input->text('campaign_uid');
        $rowUids = $input->texts('row_uids', self::MAX_ROWS) ?? [];
        $claimUid = $input->optionalText('claim_uid');
        $state = $input->optionalOneOf('campaign_state', Campaign::STATES);
        $restart = $input->flag('restart');
        $reason = $input->optionalText('reason');

        return $this->db->transaction(function () use (
            $vendorUid,
            $campaignUid,
            $rowUids,
            $claimUid,
            $state,
            $restart,
            $reason
        ): array {
            $now = Time::text($this->clock->nowMs());
            $campaign = $this->campaigns->lock($vendorUid, $campaignUid);
            $released = $this->release($campaign, $rowUids, $claimUid, $now);
            if ($state !== null) {
                $campaign->checkChange($state, $restart);
                $this->campaigns->setState($campaign, $state, $reason, $now);
            }

            return ['released' => $released];
        });
    }

    /** @param list<string> $uids */
    private function release(Campaign $campaign, array $uids, ?string $claimUid, string $now): int
    {
        if ($uids === []) {
            return 0;
        }
        $ofClaim = $claimUid === null
            ? ''
            : " AND JSON_UNQUOTE(JSON_EXTRACT(__data, '$.sidecar.claim.uid')) = ?";

        return $this->db->change(
            "UPDATE {queue} SET status = 1, updated_at = ?, __data = JSON_REMOVE(__data, '$.sidecar.claim')"
                . ' WHERE _uid IN (' . Database::marks($uids) . ") AND campaigns__id = ? AND status = 3{$ofClaim}",
            [$now, ...$uids, $campaign->id, ...($claimUid === null ? [] : [$claimUid])]
        );
    }
}
