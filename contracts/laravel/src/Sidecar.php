<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel;

use Illuminate\Support\Facades\Facade;
use WhatsappSidecar\Laravel\Bots\BotMatching;
use WhatsappSidecar\Laravel\Cache\CachedBots;
use WhatsappSidecar\Laravel\Cache\CachedVendors;
use WhatsappSidecar\Laravel\Cache\VersionedCache;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Store\ModesTable;
use WhatsappSidecar\Laravel\Store\Vendors;

/**
 * The sidecar, for the application's code. A vendor is named by `_uid` or by `_id`.
 *
 * @method static array sendCampaign(string $campaignUid)
 * @method static array pause(string $campaignUid, ?string $reason = null)
 * @method static array resume(string $campaignUid, ?string $reason = null)
 * @method static array cancel(string $campaignUid, ?string $reason = null)
 * @method static array progress(string $campaignUid)
 * @method static array matchBot(int|string $vendor, string $message, ?array $contact = null)
 * @method static array effects(string $vendorUid, array $effects)
 * @method static array cutover(?array $vendorUids, array $modes, string $by, ?string $reason = null, float $timeoutS = 30)
 * @method static array rollback(?array $vendorUids, string $by, ?string $reason = null, float $timeoutS = 30)
 * @method static array health()
 *
 * @see SidecarClient
 */
final class Sidecar extends Facade
{
    protected static function getFacadeAccessor(): string
    {
        return SidecarClient::class;
    }

    /**
     * Return the bots that answer a message, in order of priority: by the sidecar, or by this PHP where
     * that does not answer in time. See BotMatching.
     *
     * @param array<string, mixed> $facts incoming_24h, disable_reply_bot, quick_reply
     *
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>
     */
    public static function matchBots(string $message, int|string $vendor, array $facts = []): array
    {
        return app(BotMatching::class)->match($message, $vendor, $facts);
    }

    /**
     * Return the bots that match the message that is being handled, as the sidecar has found them,
     * whoever the contact is (welcome bots are always among them); null if there is none, or its bots are
     * matched here.
     *
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>|null
     */
    public static function matchedBots(): ?array
    {
        return app(Effects::class)->matchedBots();
    }

    /**
     * Have a message sent, ahead of campaigns. See Effects.
     *
     * @param array<string, mixed> $message
     * @param array<string, mixed> $columns
     *
     * @return string the `_uid` of its row in the log, which is pending
     */
    public static function sendMessage(
        int|string $vendor,
        string $to,
        array $message,
        ?int $contactId = null,
        ?string $phoneNumberId = null,
        ?int $expiresAt = null,
        ?string $key = null,
        array $columns = []
    ): string {
        return app(Effects::class)->sendMessage(
            $vendor,
            $to,
            $message,
            $contactId,
            $phoneNumberId,
            $expiresAt,
            $key,
            $columns
        );
    }

    /**
     * Have an AI asked about a customer's message; its answer is sent to the contact. See Effects.
     *
     * @param list<array{role: string, content: string}> $messages
     * @param array<string, mixed> $options
     */
    public static function aiReply(
        int|string $vendor,
        string $messageUid,
        array $messages,
        ?string $provider = null,
        ?string $model = null,
        array $options = [],
        ?int $expiresAt = null
    ): string {
        return app(Effects::class)
            ->aiReply($vendor, $messageUid, $messages, $provider, $model, $options, $expiresAt);
    }

    /**
     * Have something posted to the vendor's own webhook; null for the update that is being handled.
     *
     * @param array<string, mixed>|null $body
     */
    public static function forward(int|string $vendor, ?array $body = null, ?string $key = null): void
    {
        app(Effects::class)->forward($vendor, $body, $key);
    }

    /** @param list<string> $channels as they are on the wire */
    public static function broadcast(int|string $vendor, array $channels, string $event, mixed $data = null): void
    {
        app(Effects::class)->broadcast($vendor, $channels, $event, $data);
    }

    /**
     * Say what was changed past the watched models: the sidecar reads it anew, and so does this application.
     *
     * @param list<string>|null $vendorUids null for every vendor
     * @param list<string> $scopes of "settings" and "bots"
     */
    public static function invalidate(?array $vendorUids = null, array $scopes = ['settings', 'bots']): array
    {
        $vendors = $vendorUids === null ? null : array_values(app(Vendors::class)->load($vendorUids));
        foreach ($scopes as $scope) {
            app(VersionedCache::class)->drop($scope, $vendors === null ? null : array_column($vendors, 'id'));
        }

        return app(SidecarClient::class)->invalidate($vendorUids, $scopes);
    }

    /**
     * Return who does vendors' work, as this application keeps it.
     *
     * @return array<string, array{webhooks: string, campaigns: string, bots: string}> by the vendor's uid
     */
    public static function modes(): array
    {
        return array_column(app(ModesTable::class)->vendors(false), 'modes', 'uid');
    }

    /** @return array<string, ?string> all settings of a vendor, in the clear, through the cache */
    public static function vendorSettings(int|string $vendor): array
    {
        return app(CachedVendors::class)->settings($vendor);
    }

    /** @return array<string, mixed> a vendor's bots, as the contract's VendorBots, through the cache */
    public static function bots(int|string $vendor): array
    {
        return app(CachedBots::class)->of($vendor);
    }
}
