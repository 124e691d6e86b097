<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Illuminate\Contracts\Encryption\DecryptException;
use Illuminate\Contracts\Encryption\Encrypter;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;

/** Vendors by uid, with the settings that the sidecar needs. */
final class Vendors
{
    /**
     * @param array<string, string> $names names in vendor_settings, by the package's own
     * @param list<string> $sharedSecrets
     */
    public function __construct(
        private Database $db,
        private Encrypter $encrypter,
        private Clock $clock,
        private array $names,
        private array $sharedSecrets,
        private int $activeStatus
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
     * Read vendors in two statements.
     *
     * @param list<string> $uids
     *
     * @return array<string, Vendor> those that exist, by uid, in the order given
     */
    public function load(array $uids): array
    {
        $uids = array_values(array_unique($uids));
        $marks = Database::marks($uids);
        $rows = $this->db->rows("SELECT _id, _uid, status FROM {vendors} WHERE _uid IN ({$marks})", $uids);
        $settings = $rows === [] ? [] : $this->settings(array_column($rows, '_id'));
        $vendors = array_fill_keys($uids, null);
        foreach ($rows as $row) {
            // The database does not tell letters' case apart.
            if (array_key_exists($row->_uid, $vendors)) {
                $vendors[$row->_uid] = new Vendor(
                    (int) $row->_id,
                    $row->_uid,
                    (int) $row->status === $this->activeStatus,
                    $settings[$row->_id] ?? [],
                    $this->sharedSecrets
                );
            }
        }

        return array_filter($vendors);
    }

    /** Write one setting; $name is a key of config('sidecar.settings'). */
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
                    '_uid' => Uuid::random(),
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
     * @param list<int> $ids
     *
     * @return array<int, array<string, ?string>>
     */
    private function settings(array $ids): array
    {
        $names = array_flip($this->names);
        $rows = $this->db->rows(
            'SELECT vendors__id, name, value FROM {vendor_settings} WHERE vendors__id IN ('
                . Database::marks($ids) . ') AND name IN (' . Database::marks($this->names) . ') ORDER BY _id',
            [...$ids, ...array_values($this->names)]
        );
        $settings = [];
        foreach ($rows as $row) {
            if (isset($names[$row->name])) {
                $settings[$row->vendors__id][$names[$row->name]] = $this->decrypted($row->value);
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
