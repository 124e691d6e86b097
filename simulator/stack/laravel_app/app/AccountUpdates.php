<?php

declare(strict_types=1);

namespace App;

/** What the routine makes of changes of the account: it was disconnected, or has other contacts. */
final class AccountUpdates
{
    public function __construct(private VendorSettings $settings, private ContactBook $contacts)
    {
    }

    /** @param array<string, mixed> $value */
    public function apply(int $vendorId, string $field, array $value): void
    {
        if ($field === 'account_update' && ($value['event'] ?? null) === 'PARTNER_REMOVED') {
            $this->disconnect($vendorId, $value['waba_info']['waba_id'] ?? null);
        } elseif ($field === 'smb_app_state_sync') {
            array_map(fn (array $change) => $this->sync($vendorId, $change), $value['state_sync'] ?? []);
        }
    }

    private function disconnect(int $vendorId, mixed $account): void
    {
        if ($account === $this->settings->get($vendorId, 'whatsapp_business_account_id')) {
            $this->settings->set($vendorId, 'whatsapp_account_disconnected_at', date('Y-m-d H:i:s'));
        }
    }

    /** @param array<string, mixed> $change */
    private function sync(int $vendorId, array $change): void
    {
        $person = $change['contact'] ?? [];
        if (($change['action'] ?? null) !== 'remove') {
            $name = $person['full_name'] ?? $person['first_name'] ?? null;
            $this->contacts->findOrCreate($vendorId, [$person['phone_number'] ?? null], $name);
        }
    }
}
