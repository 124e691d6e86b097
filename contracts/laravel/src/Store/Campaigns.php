<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Json;

/** Reads campaigns, and keeps their state and fence. */
final class Campaigns
{
    private const MERGED = "__data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?)";

    /** The vendor is read without a lock: campaigns of one vendor need not wait for each other. */
    private const LOCKED = 'SELECT campaigns._id, campaigns._uid, campaigns.template_name,'
        . ' campaigns.template_language, campaigns.__data, campaigns.vendors__id,'
        . ' (SELECT vendors._uid FROM {vendors} AS vendors WHERE vendors._id = campaigns.vendors__id) AS vendor_uid'
        . ' FROM {campaigns} AS campaigns WHERE campaigns._uid = ? FOR UPDATE';

    public function __construct(private Database $db, private Vendors $vendors)
    {
    }

    /**
     * Return the vendor's campaign, or refuse the call. The row is locked until the transaction ends,
     * so that claims of one campaign come one after the other.
     */
    public function lock(string $vendorUid, string $uid): Campaign
    {
        $row = $this->db->row(self::LOCKED, [$uid]);
        if ($row === null || $row->_uid !== $uid || $row->vendor_uid !== $vendorUid) {
            $this->vendors->id($vendorUid); // refuses the call too, if it is the vendor who is unknown
            throw Refused::campaignUnknown($vendorUid, $uid);
        }

        return Campaign::ofRow($row);
    }

    /** Keep the fence; it only grows. */
    public function rememberFence(Campaign $campaign, int $fence): void
    {
        if ($fence > $campaign->fence()) {
            $this->db->change(
                'UPDATE {campaigns} SET ' . self::MERGED . ' WHERE _id = ?',
                [Json::dump(['sidecar' => ['fence' => $fence]]), $campaign->id]
            );
        }
    }

    public function setState(Campaign $campaign, string $state, ?string $reason, string $now): void
    {
        $this->db->change(
            'UPDATE {campaigns} SET updated_at = ?, ' . self::MERGED . ' WHERE _id = ?',
            [$now, Json::dump(['sidecar' => ['state' => $state, 'reason' => $reason]]), $campaign->id]
        );
    }
}
