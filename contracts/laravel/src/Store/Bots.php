<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Illuminate\Database\QueryException;
use stdClass;
use WhatsappSidecar\Laravel\Bots\MatchingRules;

/** Vendors' bots, in the order in which they are tried. */
final class Bots
{
    private const INACTIVE = 2;

    private const ACTIVE = 'COALESCE(bots.status, 0) <> ' . self::INACTIVE
        . ' AND COALESCE(flows.status, 0) <> ' . self::INACTIVE . '%s';

    private const SELECT = 'SELECT bots._uid, bots.vendors__id, bots.trigger_type, bots.reply_trigger,'
        . ' ' . self::ACTIVE . ' AS active FROM {bots} AS bots'
        . ' LEFT JOIN {bot_flows} AS flows ON flows._id = bots.bot_flows__id'
        . ' WHERE bots.vendors__id IN (%s) ORDER BY bots.priority_index, bots._id';

    private const REPLIES = 'SELECT bots._uid, bots.vendors__id, bots.reply_text FROM {bots} AS bots'
        . ' LEFT JOIN {bot_flows} AS flows ON flows._id = bots.bot_flows__id'
        . ' WHERE bots.vendors__id IN (%s) AND bots._uid IN (%s) AND ' . self::ACTIVE;

    /** @var array<string, mixed>|null the same for as long as the process lives */
    private static ?array $rules = null;

    /** ER_BAD_FIELD_ERROR */
    private const NO_SUCH_COLUMN = 1054;

    private const NOT_DELETED = ' AND bots.deleted_at IS NULL';

    /** Whether rows are kept when they are deleted, as far as is known. */
    private bool $softDeletes = true;

    public function __construct(private Database $db)
    {
    }

    /**
     * Return the bots of vendors, as the contract's VendorBots, in as many statements for one as for all.
     *
     * @param list<Vendor> $vendors
     *
     * @return list<array<string, mixed>>
     */
    public function of(array $vendors): array
    {
        if ($vendors === []) {
            return [];
        }
        $ids = array_map(static fn (Vendor $vendor): int => $vendor->id, $vendors);
        $bots = array_fill_keys($ids, []);
        foreach ($this->rows(sprintf(self::SELECT, '%s', Database::marks($ids)), $ids) as $row) {
            $bots[(int) $row->vendors__id][] = self::bot($row);
        }
        self::$rules ??= MatchingRules::probe();

        return array_map(static fn (Vendor $vendor): array => [
            'vendor_uid' => $vendor->uid,
            'vendor_id' => $vendor->id,
            'bots' => $bots[$vendor->id],
            'hours' => $vendor->botHours(),
            'rules' => self::$rules,
        ], $vendors);
    }

    /**
     * Return what vendors' bots reply, those that are active.
     *
     * @param list<int> $vendorIds
     * @param list<string> $uids
     *
     * @return array<int, array<string, ?string>> by the vendor's `_id` and the bot's uid
     */
    public function replies(array $vendorIds, array $uids): array
    {
        $replies = [];
        $sql = sprintf(self::REPLIES, Database::marks($vendorIds), Database::marks($uids), '%s');
        foreach ($this->rows($sql, [...$vendorIds, ...$uids]) as $row) {
            $replies[(int) $row->vendors__id][$row->_uid] = $row->reply_text;
        }

        return $replies;
    }

    /** @return array<string, mixed> */
    private static function bot(stdClass $row): array
    {
        return [
            'bot_uid' => $row->_uid,
            'trigger_type' => $row->trigger_type ?? '',
            'reply_trigger' => $row->reply_trigger,
            'active' => (bool) $row->active,
        ];
    }

    /**
     * Return rows that are not deleted. Not every installation has the column for that; asking for it takes the
     * database longer than trying.
     *
     * @param string $sql with %s for the condition
     * @param list<mixed> $bindings
     *
     * @return list<stdClass>
     */
    private function rows(string $sql, array $bindings): array
    {
        if ($this->softDeletes) {
            try {
                return $this->db->rows(sprintf($sql, self::NOT_DELETED), $bindings);
            } catch (QueryException $error) {
                if ((int) ($error->errorInfo[1] ?? 0) !== self::NO_SUCH_COLUMN) {
                    throw $error;
                }
                $this->softDeletes = false;
            }
        }

        return $this->db->rows(sprintf($sql, ''), $bindings);
    }
}
