<?php

declare(strict_types=1);

namespace App;

use App\Models\VendorSetting;
use Illuminate\Contracts\Encryption\DecryptException;
use Illuminate\Contracts\Encryption\Encrypter;
use Illuminate\Support\Str;

/** The application's settings helper: a vendor's settings by name, read once, and secrets in the clear. */
final class VendorSettings
{
    /** @var array<int, array<string, ?string>> by the vendor's `_id` */
    private array $known = [];

    public function __construct(private Encrypter $encrypter)
    {
    }

    public function get(int $vendorId, string $name): ?string
    {
        $this->known[$vendorId] ??= VendorSetting::query()
            ->where('vendors__id', $vendorId)
            ->pluck('value', 'name')
            ->all();
        $value = (string) ($this->known[$vendorId][$name] ?? '');

        return $value === '' ? null : $this->clear($value);
    }

    /** @return array<mixed> */
    public function json(int $vendorId, string $name): array
    {
        $value = json_decode((string) $this->get($vendorId, $name), true);

        return is_array($value) ? $value : [];
    }

    public function set(int $vendorId, string $name, string $value): void
    {
        $named = ['vendors__id' => $vendorId, 'name' => $name];
        $setting = VendorSetting::query()->where($named)->first()
            ?? (new VendorSetting())->forceFill($named + ['_uid' => (string) Str::uuid()]);
        $setting->forceFill(['value' => $value])->save();
        unset($this->known[$vendorId]);
    }

    private function clear(string $value): string
    {
        try {
            return (string) $this->encrypter->decrypt($value);
        } catch (DecryptException) {
            return $value;
        }
    }
}
