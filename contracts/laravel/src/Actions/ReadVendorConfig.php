<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** Returns vendors' numbers and secrets, and the servers that the sidecar calls for them. */
final class ReadVendorConfig
{
    private const MAX_VENDORS = 1000;

    public function __construct(private Vendors $vendors, private Modes $modes)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $uids = Input::ofBody($body, ['vendor_uids'])->texts('vendor_uids', self::MAX_VENDORS, 1);
        $found = $this->vendors->load($uids);

        return [
            'vendors' => array_map(fn (Vendor $vendor): array => $this->config($vendor), array_values($found)),
            'unknown' => array_values(array_unique(array_filter(
                $uids,
                static fn (string $uid): bool => ! isset($found[$uid])
            ))),
        ];
    }

    /** @return array<string, mixed> */
    private function config(Vendor $vendor): array
    {
        [$modes] = $this->modes->read($vendor->uid, $vendor->setting('modes'));
        $numbers = [];
        foreach ($vendor->phoneNumbers() as $key => $number) {
            $numbers[] = self::number(substr($key, 1), $number);
        }

        return [
            'vendor_uid' => $vendor->uid,
            'active' => $vendor->active,
            'access_token' => $vendor->setting('access_token'),
            'app_secrets' => $vendor->appSecrets(),
            'whatsapp_business_account_id' => $vendor->setting('business_account_id'),
            'portfolio_id' => $vendor->setting('portfolio_id'),
            'daily_recipients' => self::count($vendor->setting('daily_recipients')),
            'current_phone_number_id' => $vendor->setting('current_phone_number_id'),
            'phone_numbers' => $numbers,
            'modes' => $modes,
            'bots_on_sidecar' => $modes['bots'] === Modes::SIDECAR,
            'marketing_messages' => $vendor->marketingMessages(),
            'ai_providers' => $vendor->aiProviders(),
            'forward' => $vendor->forward(),
            'broadcaster' => $vendor->broadcaster(),
        ];
    }

    /** @return array<string, mixed> */
    private static function number(string $id, stdClass $number): array
    {
        $display = $number->display_phone_number ?? null;
        $rate = $number->messages_per_second ?? null;

        return [
            'phone_number_id' => $id,
            'display_phone_number' => is_string($display) ? $display : null,
            'messages_per_second' => (is_int($rate) || is_float($rate)) && $rate > 0 ? $rate : null,
            // Meta's own name for it, in its list of an account's numbers.
            'coexistence' => ($number->is_on_biz_app ?? null) === true,
            'verified' => self::verified($number->verified ?? null),
        ];
    }

    /** @return array<string, ?string>|null what Meta has told of a number; null without an account */
    private static function verified(mixed $told): ?array
    {
        $accountId = $told instanceof stdClass ? Envelope::text($told->account_id ?? null) : null;

        return $accountId === null ? null : [
            'account_id' => $accountId,
            'portfolio_id' => Envelope::text($told->portfolio_id ?? null),
            'app_id' => Envelope::text($told->app_id ?? null),
        ];
    }

    private static function count(?string $text): ?int
    {
        $digits = trim((string) $text);

        return preg_match('/\A[0-9]{1,9}\z/', $digits) === 1 && (int) $digits > 0 ? (int) $digits : null;
    }
}
