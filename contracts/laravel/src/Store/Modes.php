<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * Who does vendors' work, by capability (webhooks, campaigns, bots): "php", "shadow", "sidecar" or
 * "held".
 *
 * A vendor's modes are JSON in a row of vendor_settings; its past changes stand in a row of their own, so
 * that nobody has to read them to know the present. Where a vendor has no row, config('whatsapp-sidecar.vendors')
 * and config('whatsapp-sidecar.bots') say, as they are when they are first asked for: make one for each call.
 */
final class Modes
{
    public const CAPABILITIES = ['webhooks', 'campaigns', 'bots'];

    public const SIDECAR = 'sidecar';

    private const PHP = 'php';

    private const MODES = ['php', 'shadow', 'sidecar', 'held'];

    /** The mode of the vendor that stands in the statement as `vendors`. */
    private const MODE = 'COALESCE((SELECT CASE WHEN JSON_VALID(modes.value) THEN'
        . " JSON_UNQUOTE(JSON_EXTRACT(modes.value, '$.%s')) END FROM {vendor_settings} AS modes"
        . ' WHERE modes.vendors__id = vendors._id AND modes.name = ? ORDER BY modes._id DESC LIMIT 1), %s)';

    /** Rows of no vendor stay the crons'. */
    private const CRONS = 'NOT EXISTS (SELECT 1 FROM {vendors} AS vendors WHERE vendors._id = %s'
        . " AND %s IN ('sidecar', 'held'))";

    /**
     * Queued rows of campaigns that are paused or cancelled are sent by nobody. Others of theirs stay the crons': what
     * was left in 3 ends as unknown. The row's table stands for %1$s, with a dot.
     */
    private const NOT_STOPPED = 'NOT (%1$sstatus = 1 AND EXISTS (SELECT 1 FROM {campaigns} AS campaigns'
        . ' WHERE campaigns._id = %1$scampaigns__id'
        . " AND JSON_UNQUOTE(JSON_EXTRACT(campaigns.__data, '$.sidecar.state')) IN ('paused', 'cancelled')))";

    /** The row that calls which change modes wait for: it exists before any modes are kept. */
    private const LOCK = 'SELECT _id FROM {vendors} ORDER BY _id LIMIT 1 ';

    private const SHARED = 'LOCK IN SHARE MODE';

    private const KEPT = 'SELECT modes.value FROM {vendors} AS vendors LEFT JOIN {vendor_settings} AS modes'
        . ' ON modes.vendors__id = vendors._id AND modes.name = ? WHERE vendors._uid = ? ORDER BY modes._id DESC'
        . ' LIMIT 1 ' . self::SHARED;

    /** @var array<int, array<string, true>|true> by the setting: uids of the sidecar's vendors; true for all */
    private array $defaults = [];

    /**
     * @param array<string, SidecarVendors> $owned by capability: whose it is where nothing is kept
     * @param string $name in vendor_settings
     */
    public function __construct(private Database $db, private array $owned, private string $name)
    {
    }

    /** @return array{string, string} names in vendor_settings: of modes, and of their past changes */
    public function names(): array
    {
        return [$this->name, "{$this->name}_history"];
    }

    /**
     * Return a vendor's modes, and the version of their last change: 0 where none are kept.
     *
     * @return array{array<string, string>, int}
     */
    public function read(string $uid, ?string $kept): array
    {
        $object = Json::object($kept);
        $modes = [];
        foreach (self::CAPABILITIES as $capability) {
            $mode = $object->{$capability} ?? ($this->isDefault($capability, $uid) ? self::SIDECAR : self::PHP);
            $modes[$capability] = in_array($mode, self::MODES, true) ? $mode : self::PHP;
        }

        return [$modes, is_int($object->version ?? null) ? $object->version : 0];
    }

    /**
     * Return SQL for the mode of the vendor that stands in the statement as `vendors`, and its bindings.
     *
     * @return array{string, list<string>}
     */
    public function sql(string $capability): array
    {
        $default = $this->defaults($capability);
        $uids = $default === true ? [] : array_map('strval', array_keys($default));
        $sidecar = match (true) {
            $default === true => "'sidecar'",
            $uids === [] => "'php'",
            default => 'CASE WHEN vendors._uid IN (' . Database::marks($uids) . ") THEN 'sidecar' ELSE 'php' END",
        };

        return [sprintf(self::MODE, $capability, $sidecar), [$this->name, ...$uids]];
    }

    /**
     * Return SQL that is true for rows that the crons work on, for whereRaw(). Of campaigns that are paused or
     * cancelled the cron sends nothing, also where the sidecar has paused them and PHP sends again.
     *
     * @param string $column the row's vendors__id, with its table
     *
     * @return array{string, list<string>} with its bindings
     */
    public function ofCrons(string $capability, string $column): array
    {
        [$mode, $bindings] = $this->sql($capability);
        $sql = sprintf(self::CRONS, $column, $mode);
        if ($capability === 'campaigns') {
            $sql .= ' AND ' . sprintf(self::NOT_STOPPED, preg_replace('/`?vendors__id`?$/D', '', $column));
        }

        return [$this->db->sql($sql), $bindings];
    }

    /**
     * Refuse the call where the crons send, or nobody does for the moment. Until the transaction ends,
     * nobody changes modes: whoever does knows that afterwards no row is taken by the old ones.
     */
    public function checkCampaigns(string $uid): void
    {
        $this->db->rows(self::LOCK . self::SHARED);
        $row = $this->db->row(self::KEPT, [$this->name, $uid]);
        [$modes] = $this->read($uid, $row->value ?? null);
        if ($modes['campaigns'] !== self::SIDECAR) {
            throw Refused::conflict(
                'vendor_not_on_sidecar',
                "the campaigns of vendor '{$uid}' are not the sidecar's: their mode is {$modes['campaigns']}"
            );
        }
    }

    /** Keep everybody else from changing modes until the transaction ends. */
    public function lock(): void
    {
        $this->db->rows(self::LOCK . 'FOR UPDATE');
    }

    private function isDefault(string $capability, string $uid): bool
    {
        $default = $this->defaults($capability);

        return $default === true || isset($default[$uid]);
    }

    /** @return array<string, true>|true */
    private function defaults(string $capability): array|bool
    {
        $owned = $this->owned[$capability];
        // One setting may stand for two capabilities, and may have to be looked up.
        $key = spl_object_id($owned);
        if (! isset($this->defaults[$key])) {
            $uids = $owned->only();
            $this->defaults[$key] = $uids === null ? true : array_fill_keys($uids, true);
        }

        return $this->defaults[$key];
    }
}
