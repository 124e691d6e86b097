<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;

/**
 * Pending rows of PHP's own webhook table, of vendors whose webhooks are the sidecar's. Rows of others, and
 * rows of no vendor or of one that is gone, are the cron's.
 */
final class WebhookBacklog
{
    /** How far rows are counted. */
    public const COUNTED = 1000;

    /** Finds whether a vendor has any, past the rows of all others. */
    private const BY_VENDOR = 'sidecar_webhooks_vendor';

    /** Walks them in the order of `_id`. */
    public const IN_ORDER = 'sidecar_webhooks_order';

    private const COUNT = 'SELECT COUNT(*) AS found FROM (SELECT 1 FROM {webhooks} AS webhooks %s'
        . " JOIN {vendors} AS vendors ON vendors._id = webhooks.vendors__id WHERE webhooks.status = 'pending'";

    /** The index alone tells which rows; only theirs are read. */
    private const SIZES = 'SELECT webhooks._id, COALESCE(LENGTH(webhooks.payload), 0)'
        . ' + COALESCE(LENGTH(webhooks.headers), 0) AS size FROM (SELECT webhooks._id FROM {webhooks} AS webhooks %s'
        . ' STRAIGHT_JOIN {vendors} AS vendors ON vendors._id = webhooks.vendors__id'
        . " WHERE webhooks.status = 'pending'";

    private const OF_PAGE = ' ORDER BY webhooks._id LIMIT ?) AS page'
        . ' STRAIGHT_JOIN {webhooks} AS webhooks ON webhooks._id = page._id ORDER BY page._id';

    private const ROWS = 'SELECT webhooks._uid, webhooks.created_at, webhooks.headers, webhooks.payload,'
        . ' vendors._uid AS vendor_uid FROM {webhooks} AS webhooks'
        . ' STRAIGHT_JOIN {vendors} AS vendors ON vendors._id = webhooks.vendors__id';

    /** The rows are to be found by their uids, and not by an index of all that are pending. */
    private const DELETE = 'DELETE webhooks FROM {webhooks} AS webhooks'
        . ' STRAIGHT_JOIN {vendors} AS vendors ON vendors._id = webhooks.vendors__id'
        . " WHERE COALESCE(webhooks.status) = 'pending'";

    public function __construct(private Database $db, private Modes $modes)
    {
    }

    /** Return how many there are, counted up to $most. */
    public function count(int $most = self::COUNTED): int
    {
        [$ours, $bindings] = $this->ours();

        return (int) $this->db->rowsByIndex(
            self::COUNT . "{$ours} LIMIT ?) AS bounded",
            self::BY_VENDOR,
            [...$bindings, $most]
        )[0]->found;
    }

    /**
     * Delete those that are there and pending.
     *
     * @param list<string> $uids
     */
    public function delete(array $uids): int
    {
        if ($uids === []) {
            return 0;
        }
        [$ours, $bindings] = $this->ours();
        $named = ' AND webhooks._uid IN (' . Database::marks($uids) . ')';

        return $this->db->transaction(
            fn (): int => $this->db->change(self::DELETE . $ours . $named, [...$bindings, ...$uids])
        );
    }

    /**
     * Return the oldest, as many as fit; the first one always does.
     *
     * @return list<stdClass>
     */
    public function oldest(int $limit, int $maxBytes): array
    {
        if ($limit === 0) {
            return [];
        }
        [$ours, $bindings] = $this->ours();
        $ids = [];
        foreach (
            $this->db->rowsByIndex(
                self::SIZES . $ours . self::OF_PAGE,
                self::IN_ORDER,
                [...$bindings, $limit]
            ) as $row
        ) {
            $maxBytes -= (int) $row->size;
            if ($ids !== [] && $maxBytes < 0) {
                break;
            }
            $ids[] = $row->_id;
        }

        return $ids === [] ? [] : $this->db->rows(
            self::ROWS . ' WHERE webhooks._id IN (' . Database::marks($ids) . ') ORDER BY webhooks._id',
            $ids
        );
    }

    /** @return array{string, list<string>} further condition and its bindings */
    private function ours(): array
    {
        [$mode, $bindings] = $this->modes->sql('webhooks');

        return [" AND {$mode} = 'sidecar'", $bindings];
    }
}
