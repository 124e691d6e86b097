<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Illuminate\Contracts\Encryption\DecryptException;
use Illuminate\Contracts\Encryption\Encrypter;
use stdClass;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;

/** Vendors by uid, with the settings that the sidecar needs. */
final class Vendors
{
    /** A row for each of a vendor's settings that are wanted, or one without a name. */
    private const WITH_SETTINGS = 'SELECT vendors._id, vendors._uid, vendors.status, settings.name, settings.value,'
        . ' settings._id AS setting_id'
        . ' FROM {vendors} AS vendors LEFT JOIN {vendor_settings} AS settings'
        . ' ON settings.vendors__id = vendors._id AND settings.name IN (%s)'
        . ' WHERE vendors.%s IN (%s)';

    /** @param array<string, string> $names names in vendor_settings, by the package's own */
    public function __construct(
        private Database $db,
        private Encrypter $encrypter,
        private Clock $clock,
        private array $names,
        private int $activeStatus,
        private VendorDefaults $defaults
    ) {
    }

    public function now(): string
    {
        return Time::text($this->clock->nowMs());
    }

    public function find(string $uid): ?Vendor
    {
        return $this->load([$uid])[$uid] ?? null;
    }

    /** Return the `_id` of a vendor, or refuse the call. */
    public function id(string $uid): int
    {
        foreach ($this->db->rows('SELECT _id, _uid FROM {vendors} WHERE _uid = ?', [$uid]) as $row) {
            if ($row->_uid === $uid) {
                return (int) $row->_id;
            }
        }

        throw Refused::vendorUnknown($uid);
    }

    /**
     * Read vendors with their settings in one statement.
     *
     * @param list<string> $uids
     *
     * @return array<string, Vendor> those that exist, by uid, in the order given
     */
    public function load(array $uids): array
    {
        $uids = array_values(array_unique($uids));
        $found = [];
        foreach ($this->read('_uid', $uids) as $vendor) {
            $found[$vendor->uid] = $vendor;
        }
        $vendors = array_fill_keys($uids, null);

        // The database does not tell letters' case apart.
        return array_filter(array_replace($vendors, array_intersect_key($found, $vendors)));
    }

    /**
     * Read vendors by their `_id`, with their settings, in one statement.
     *
     * @param list<int> $ids
     *
     * @return array<string, Vendor> those that exist, by uid
     */
    public function loadByIds(array $ids): array
    {
        $vendors = [];
        foreach ($this->read('_id', array_values(array_unique($ids))) as $vendor) {
            $vendors[$vendor->uid] = $vendor;
        }

        return $vendors;
    }

    /**
     * @param list<int|string> $values
     *
     * @return array<int, Vendor> by `_id`
     */
    private function read(string $column, array $values): array
    {
        if ($values === []) {
            return [];
        }
        $rows = $this->db->rows(
            sprintf(self::WITH_SETTINGS, Database::marks($this->names), $column, Database::marks($values)),
            [...array_values($this->names), ...$values]
        );
        // The database would sort the long values in a table on disk.
        usort($rows, static fn (stdClass $one, stdClass $other): int => $one->setting_id <=> $other->setting_id);
        $settings = $this->settings($rows);
        $vendors = [];
        foreach ($rows as $row) {
            $vendors[$row->_id] ??= new Vendor(
                (int) $row->_id,
                $row->_uid,
                (int) $row->status === $this->activeStatus,
                $settings[$row->_id] ?? [],
                $this->defaults->appSecrets,
                $this->defaults->broadcaster
            );
        }

        return $vendors;
    }

    /** @return array<string, ?string> every setting of a vendor in the clear, by its own name */
    public function allSettings(int $id): array
    {
        $rows = $this->db->rows('SELECT name, value FROM {vendor_settings} WHERE vendors__id = ? ORDER BY _id', [$id]);

        return array_map(
            fn (?string $value): ?string => $this->decrypted($value),
            array_column($rows, 'value', 'name')
        );
    }

    /** Write one setting; $name is a key of config('whatsapp-sidecar.settings'). */
    public function set(Vendor $vendor, string $name, string $value): void
    {
        $key = $this->names[$name];
        $this->db->transaction(function () use ($vendor, $key, $value): void {
            $now = $this->now();
            $row = $this->db->row(
                'SELECT _id FROM {vendor_settings} WHERE vendors__id = ? AND name = ? ORDER BY _id LIMIT 1 FOR UPDATE',
                [$vendor->id, $key]
            );
            if ($row === null) {
                $this->db->insertMissing('vendor_settings', [[
                    // Follows from what it is, so that two calls at once make one.
                    '_uid' => Uuid::of(Uuid::SETTINGS, "{$vendor->uid}:{$key}"),
                    'created_at' => $now,
                    'vendors__id' => $vendor->id,
                    'name' => $key,
                    'value' => $value,
                    'data_type' => 1,
                ]]);
            } else {
                $this->db->change(
                    'UPDATE {vendor_settings} SET value = ?, updated_at = ? WHERE _id = ?',
                    [$value, $now, $row->_id]
                );
            }
        });
    }

    /**
     * @param list<stdClass> $rows one for each setting of a vendor, the last one of a name last
     *
     * @return array<int, array<string, ?string>> by the vendor's `_id`
     */
    private function settings(array $rows): array
    {
        $names = array_flip($this->names);
        $settings = [];
        foreach ($rows as $row) {
            $name = $names[$row->name ?? ''] ?? null;
            if ($name !== null) {
                $settings[$row->_id][$name] = $this->decrypted($row->value);
            }
        }

        return $settings;
    }

    /** Return the value in the clear. Laravel's ciphertext is base64 of a JSON object. */
    private function decrypted(?string $value): ?string
    {
        if ($value === null || ! str_starts_with($value, 'eyJ')) {
            return $value;
        }
        try {
            $plain = $this->encrypter->decrypt($value, false);
        } catch (DecryptException) {
            return $value;
        }
        if (preg_match('/^(s|i|d|b|a|N)[:;]/', $plain)) {
            $read = @unserialize($plain, ['allowed_classes' => false]);
            if (is_scalar($read) && ($read !== false || $plain === 'b:0;')) {
                return (string) $read;
            }
        }

        return $plain;
    }
}
