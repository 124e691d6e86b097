<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use WhatsappSidecar\Laravel\Store\Database;

/**
 * The `_id`s of the vendors and campaigns that results name. They never change, and are read before the transaction
 * begins: its first statement locks.
 */
final class NamedIds
{
    private const IDS = 'SELECT 0 AS is_campaign, _id, _uid FROM {vendors} WHERE _uid IN (%s)'
        . ' UNION ALL SELECT 1, _id, _uid FROM {campaigns} WHERE _uid IN (%s)';

    /** @var array<string, int> */
    public array $vendors = [];

    /** @var array<string, int> */
    public array $campaigns = [];

    /** @param list<SendResult> $results */
    public static function of(Database $db, array $results): self
    {
        $named = new self();
        $vendors = self::unique($results, 'vendorUid');
        $campaigns = self::unique($results, 'campaignUid');
        if ($vendors === []) {
            return $named;
        }
        $sql = sprintf(self::IDS, Database::marks($vendors), Database::marks($campaigns));
        foreach ($db->rows($sql, [...$vendors, ...$campaigns]) as $row) {
            if ($row->is_campaign) {
                $named->campaigns[$row->_uid] = (int) $row->_id;
            } else {
                $named->vendors[$row->_uid] = (int) $row->_id;
            }
        }

        return $named;
    }

    /**
     * @param list<SendResult> $results
     *
     * @return list<string>
     */
    private static function unique(array $results, string $property): array
    {
        return array_values(array_unique(array_filter(array_column($results, $property), 'is_string')));
    }
}
