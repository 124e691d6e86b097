<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;

/** The modes of all vendors, read and written in as many statements for many vendors as for one. */
final class ModesTable
{
    /** How many past changes of a vendor are kept. */
    private const PAST = 50;

    /** For each vendor its modes and its past changes, or one row without either. */
    private const VENDORS = 'SELECT vendors._id, vendors._uid, vendors.title, settings._id AS setting_id,'
        . ' settings.name, %s AS value FROM {vendors} AS vendors LEFT JOIN {vendor_settings} AS settings'
        . ' ON settings.vendors__id = vendors._id AND settings.name IN (?, ?) ORDER BY vendors._id, settings._id';

    private const WITHOUT_HISTORY = 'CASE WHEN settings.name = ? THEN settings.value END';

    private const INSERT = 'INSERT INTO {vendor_settings} (_uid, created_at, vendors__id, name, value, data_type)'
        . ' SELECT new.uid, ?, new.vendor_id, new.name, new.value, 1 FROM ';

    private const NEW_COLUMNS = [
        'uid' => 'CHAR(36)',
        'vendor_id' => 'BIGINT UNSIGNED',
        'name' => 'VARCHAR(45)',
        'value' => 'LONGTEXT',
    ];

    private const IS_LIST = "JSON_VALID(old.value) AND JSON_TYPE(old.value) = 'ARRAY'";

    /** The newest change comes last; the oldest is dropped if there are too many. */
    private const APPENDED = 'JSON_ARRAY_APPEND(CASE WHEN ' . self::IS_LIST . " THEN old.value ELSE '[]' END, '$',"
        . " JSON_EXTRACT(new.value, '$'))";

    private const TRIMMED = 'CASE WHEN ' . self::IS_LIST . ' AND JSON_LENGTH(old.value) >= ' . self::PAST
        . ' THEN JSON_REMOVE(' . self::APPENDED . ", '$[0]') ELSE " . self::APPENDED . ' END';

    public function __construct(private Database $db, private Modes $modes, private Clock $clock)
    {
    }

    /**
     * Return all vendors, by `_id`.
     *
     * @return list<array{id: int, uid: string, title: ?string, modes: array<string, string>, version: int,
     *     history: list<mixed>, settings: array<string, int>}> settings: the rows' `_id`s, by name
     */
    public function vendors(bool $history): array
    {
        [$name, $past] = $this->modes->names();
        $value = $history ? 'settings.value' : self::WITHOUT_HISTORY;
        $rows = $this->db->rows(
            sprintf(self::VENDORS, $value),
            [...($history ? [] : [$name]), $name, $past]
        );
        $settings = [];
        foreach ($rows as $row) {
            $settings[$row->_id][$row->name ?? ''] = $row;
        }
        $vendors = [];
        foreach ($settings as $id => $named) {
            $row = reset($named);
            [$modes, $version] = $this->modes->read($row->_uid, $named[$name]->value ?? null);
            $vendors[] = [
                'id' => $id,
                'uid' => $row->_uid,
                'title' => $row->title,
                'modes' => $modes,
                'version' => $version,
                'history' => Json::list($named[$past]->value ?? null),
                'settings' => array_map(
                    static fn (stdClass $setting): int => (int) $setting->setting_id,
                    array_intersect_key($named, [$name => true, $past => true])
                ),
            ];
        }

        return $vendors;
    }

    /**
     * Make these changes, or refuse the call.
     *
     * @param list<array{string, array<string, string>}> $changes vendors' uids, and what changes of their modes
     */
    public function change(array $changes, int $version, ?string $by, ?string $reason): void
    {
        $this->db->transaction(function () use ($changes, $version, $by, $reason): void {
            $this->modes->lock();
            $vendors = array_column($this->vendors(false), null, 'uid');
            $this->checkVersion($version, $vendors);
            $wanted = [];
            foreach ($changes as [$uid, $change]) {
                if (! isset($vendors[$uid])) {
                    throw Refused::vendorUnknown($uid);
                }
                if ($change !== []) {
                    $wanted[$uid] = $change + ($wanted[$uid] ?? $vendors[$uid]['modes']);
                }
            }
            $said = ['at' => $this->clock->nowMs(), 'by' => $by, 'reason' => $reason, 'version' => $version + 1];
            $this->write($vendors, $wanted, $said);
        });
    }

    /** @param array<string, array<string, mixed>> $vendors */
    private function checkVersion(int $version, array $vendors): void
    {
        $last = max([0, ...array_values(array_column($vendors, 'version'))]);
        if ($version !== $last) {
            throw Refused::conflict(
                'fence_stale',
                "the modes are of version {$last}, not {$version}: read them again"
            );
        }
    }

    /**
     * Keep the modes of vendors who change. One that has kept none so far does from now on, whatever they
     * are: what somebody has said holds.
     *
     * @param array<string, array<string, mixed>> $vendors
     * @param array<string, array<string, string>> $wanted
     * @param array<string, mixed> $said
     */
    private function write(array $vendors, array $wanted, array $said): void
    {
        [$name, $past] = $this->modes->names();
        $new = $modes = $histories = [];
        foreach ($wanted as $uid => $after) {
            ['id' => $id, 'modes' => $before, 'settings' => $settings] = $vendors[$uid];
            $after = array_replace(array_fill_keys(Modes::CAPABILITIES, null), $after);
            self::checkStep($uid, $before['campaigns'], $after['campaigns']);
            if ($after === $before && isset($settings[$name])) {
                continue;
            }
            $kept = Json::dump($after + ['version' => $said['version']]);
            $entry = Json::dump($said + ['before' => $before, 'after' => $after]);
            if (isset($settings[$name])) {
                $modes[] = ['id' => $settings[$name], 'value' => $kept];
            } else {
                $new[] = self::setting($id, $uid, $name, $kept);
            }
            if (isset($settings[$past])) {
                $histories[] = ['id' => $settings[$past], 'value' => $entry];
            } else {
                $new[] = self::setting($id, $uid, $past, "[{$entry}]");
            }
        }
        $this->store($new, $modes, $histories, Time::text($said['at']));
    }

    /** Refuse the call where PHP's crons and the sidecar would send campaigns at the same time. */
    private static function checkStep(string $uid, string $now, string $wanted): void
    {
        $both = [$now, $wanted];
        if ($now !== $wanted && in_array('sidecar', $both, true) && ! in_array('held', $both, true)) {
            throw Refused::conflict(
                'mode_change_forbidden',
                "campaigns of vendor '{$uid}' cannot become {$wanted} at once: they are {$now}"
            );
        }
    }

    /** @return array<string, int|string> */
    private static function setting(int $vendorId, string $vendorUid, string $name, string $value): array
    {
        return [
            'uid' => Uuid::of(Uuid::SETTINGS, "{$vendorUid}:{$name}"),
            'vendor_id' => $vendorId,
            'name' => $name,
            'value' => $value,
        ];
    }

    /**
     * @param list<array<string, int|string>> $new
     * @param list<array<string, int|string>> $modes
     * @param list<array<string, int|string>> $histories
     */
    private function store(array $new, array $modes, array $histories, string $now): void
    {
        $value = ['value' => 'LONGTEXT'];
        $this->db->changeEach('vendor_settings', $value, 'old.updated_at = ?, old.value = new.value', [$now], $modes);
        $set = 'old.updated_at = ?, old.value = ' . self::TRIMMED;
        $this->db->changeEach('vendor_settings', $value, $set, [$now], $histories);
        if ($new !== []) {
            $this->db->change(self::INSERT . Database::jsonTable(self::NEW_COLUMNS, 'new'), [$now, Json::dump($new)]);
        }
    }
}
