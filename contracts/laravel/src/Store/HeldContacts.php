<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;

/**
 * Rows of contacts that a transaction decides about, and locks: nobody changes or merges them until it ends.
 *
 * They are found without locks first. At REPEATABLE READ a search that locks would keep others from
 * inserting beside what it finds, or does not find; and it may see rows as they were.
 */
final class HeldContacts
{
    private const LOCK = ContactRows::COLUMNS . 'WHERE _id IN (%s) ORDER BY _id FOR UPDATE';

    private const WRITTEN = ContactRows::COLUMNS . 'WHERE _uid IN (%s) FOR UPDATE';

    public function __construct(private Database $db, private ContactRows $rows)
    {
    }

    /** Return the contact of a number, for hold(); where that costs nothing it is held already. */
    public function byNumber(Vendor $vendor, ?string $waId): ?stdClass
    {
        if ($waId === null || $this->db->isRepeatable()) {
            return $this->rows->byNumber($vendor, $waId);
        }
        $row = $this->rows->ofNumber($vendor->id, $waId, ' FOR UPDATE');
        if ($row !== null) {
            $row->isHeld = true;
        }

        return $row;
    }

    /**
     * Lock rows, which must be what they were when they were read: what was decided about them holds then.
     *
     * @param list<stdClass> $rows
     *
     * @throws ChangedMeanwhile
     */
    public function hold(array $rows): void
    {
        $isFree = static fn (stdClass $row): bool => ! isset($row->isHeld);
        $read = array_column(array_filter($rows, $isFree), null, '_id');
        $now = array_column($this->locked(array_keys($read)), null, '_id');
        foreach ($read as $id => $row) {
            $known = $now[$id] ?? null;
            if ($known === null || [$known->wa_id, $known->__data] !== [$row->wa_id, $row->__data]) {
                throw new ChangedMeanwhile();
            }
        }
    }

    /**
     * @param list<int> $ids
     *
     * @return list<stdClass> the rows as they are now
     */
    public function locked(array $ids): array
    {
        return $ids === [] ? [] : $this->db->rows(sprintf(self::LOCK, Database::marks($ids)), $ids);
    }

    /** Return a row that the transaction has written, or has found there when it tried to insert it. */
    public function written(string $uid): stdClass
    {
        return $this->allWritten([$uid])[0] ?? throw new ChangedMeanwhile();
    }

    /**
     * @param list<string> $uids
     *
     * @return list<stdClass>
     */
    public function allWritten(array $uids): array
    {
        // What another transaction has inserted meanwhile may be seen by a locking read alone.
        return $uids === [] ? [] : $this->db->rows(sprintf(self::WRITTEN, Database::marks($uids)), $uids);
    }
}
