<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel;

use Illuminate\Auth\Access\AuthorizationException;
use Illuminate\Contracts\Auth\Authenticatable;
use WhatsappSidecar\Laravel\Access\Caller;
use WhatsappSidecar\Laravel\Access\ConsoleLink;
use WhatsappSidecar\Laravel\Bots\BotMatching;
use WhatsappSidecar\Laravel\Cache\CachedBots;
use WhatsappSidecar\Laravel\Cache\CachedVendors;
use WhatsappSidecar\Laravel\Cache\VersionedCache;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Media\Media;
use WhatsappSidecar\Laravel\Store\ModesTable;
use WhatsappSidecar\Laravel\Store\Vendors;

/**
 * The sidecar, for the application's code: what stands behind the facade, and what to type-hint where you
 * inject it. A vendor is named by `_uid` or by `_id`.
 *
 * What a method needs is made when it is called, by the container of that moment: under Octane each request has
 * one of its own.
 */
class Sidecar
{
    /** Have a campaign's due rows sent now. */
    public function sendCampaign(string $campaignUid): array
    {
        return $this->client()->sendCampaign($campaignUid, $this->by());
    }

    /** @param string|null $reason shown to people */
    public function pause(string $campaignUid, ?string $reason = null): array
    {
        return $this->client()->pause($campaignUid, $reason, $this->by());
    }

    public function resume(string $campaignUid, ?string $reason = null): array
    {
        return $this->client()->resume($campaignUid, $reason, $this->by());
    }

    public function cancel(string $campaignUid, ?string $reason = null): array
    {
        return $this->client()->cancel($campaignUid, $reason, $this->by());
    }

    /** Return how far a campaign is. */
    public function progress(string $campaignUid): array
    {
        return $this->client()->progress($campaignUid);
    }

    /**
     * Return the bots that answer a message, from the sidecar alone. matchBots() works without it, too.
     *
     * @param array<string, mixed>|null $contact facts that decide about welcome bots and opt-outs
     */
    public function matchBot(int|string $vendor, string $message, ?array $contact = null): array
    {
        return $this->client()->matchBot($vendor, $message, $contact);
    }

    /**
     * Return the bots that answer a message, in order of priority: by the sidecar, or by this PHP where
     * that does not answer in time. See BotMatching.
     *
     * @param array<string, mixed> $facts incoming_24h, disable_reply_bot, quick_reply
     *
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>
     */
    public function matchBots(string $message, int|string $vendor, array $facts = []): array
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
    public function matchedBots(): ?array
    {
        return app(Effects::class)->matchedBots();
    }

    /**
     * Tell whether an update is being handled that the sidecar has handed over: what is asked for goes out with
     * the answer about it, and nothing needs to be sent from here.
     */
    public function isHandling(): bool
    {
        return app(Effects::class)->isHandling();
    }

    /**
     * Have a message sent, ahead of campaigns. See Effects.
     *
     * @param array<string, mixed> $message
     * @param array<string, mixed> $columns
     *
     * @return string the `_uid` of its row in the log, which is pending
     */
    public function sendMessage(
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
    public function aiReply(
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
    public function forward(int|string $vendor, array|string|null $body = null, ?string $key = null): void
    {
        app(Effects::class)->forward($vendor, $body, $key);
    }

    /**
     * Have a message's media fetched into the folder that both sides share. See Effects.
     *
     * @param array<string, mixed> $media id; and type, mime_type, sha256, filename, as the webhook has them
     */
    public function fetchMedia(int|string $vendor, string $wamid, array $media): string
    {
        return app(Effects::class)->fetchMedia($vendor, $wamid, $media);
    }

    /**
     * Return what is known of media, and have it fetched if its message is being handled; null if nothing
     * is known. See Media.
     *
     * @param string $id the media's id while its message is handled, or the `_uid` of the message's row
     *
     * @return array<string, mixed>|null state, path, file, mime_type, bytes, sha256, reason
     */
    public function media(string $id): ?array
    {
        return app(Media::class)->find($id);
    }

    /** @param list<string> $channels as they are on the wire */
    public function broadcast(int|string $vendor, array $channels, string $event, mixed $data = null): void
    {
        app(Effects::class)->broadcast($vendor, $channels, $event, $data);
    }

    /**
     * Have effects done, as the contract's request has them.
     *
     * @param list<array<string, mixed>> $effects 1,000 at most
     */
    public function effects(string $vendorUid, array $effects): array
    {
        return $this->client()->effects($vendorUid, $effects);
    }

    /**
     * Move vendors' work. See SidecarClient.
     *
     * @param list<string>|null $vendorUids null for every vendor
     * @param array<string, string> $modes what changes: webhooks, campaigns, bots
     * @param string $by who says so, kept with the change
     */
    public function cutover(
        ?array $vendorUids,
        array $modes,
        string $by,
        ?string $reason = null,
        float $timeoutS = 30
    ): array {
        return $this->client()->cutover($vendorUids, $modes, $by, $reason, $timeoutS);
    }

    /**
     * Give vendors' work back to PHP, all of it.
     *
     * @param list<string>|null $vendorUids null for every vendor
     */
    public function rollback(?array $vendorUids, string $by, ?string $reason = null, float $timeoutS = 30): array
    {
        return $this->client()->rollback($vendorUids, $by, $reason, $timeoutS);
    }

    /**
     * Say what changed past the watched models: the sidecar reads it again, and so does this application.
     *
     * @param list<string>|null $vendorUids null for every vendor
     * @param list<string> $scopes of "settings" and "bots"
     */
    public function invalidate(?array $vendorUids = null, array $scopes = ['settings', 'bots']): array
    {
        $vendors = $vendorUids === null
            ? null
            : array_values(app(Vendors::class)->load($vendorUids));
        foreach ($scopes as $scope) {
            app(VersionedCache::class)
                ->drop($scope, $vendors === null ? null : array_column($vendors, 'id'));
        }

        return $this->client()->invalidate($vendorUids, $scopes);
    }

    /**
     * Return who does vendors' work, as this application keeps it.
     *
     * @return array<string, array{webhooks: string, campaigns: string, bots: string}> by the vendor's uid
     */
    public function modes(): array
    {
        return array_column(app(ModesTable::class)->vendors(false), 'modes', 'uid');
    }

    /** @return array<string, ?string> all settings of a vendor, in the clear, through the cache */
    public function vendorSettings(int|string $vendor): array
    {
        return app(CachedVendors::class)->settings($vendor);
    }

    /** @return array<string, mixed> a vendor's bots, as the contract's VendorBots, through the cache */
    public function bots(int|string $vendor): array
    {
        return app(CachedBots::class)->of($vendor);
    }

    /**
     * Return where to send the browser of a user, at once, who opens the sidecar's console: the link holds for a
     * minute, and once.
     *
     * @throws AuthorizationException for those whom neither the gate operateSidecar nor viewSidecar lets through
     */
    public function consoleUrl(?Authenticatable $user): string
    {
        return app(ConsoleLink::class)->for($user);
    }

    /** Return the sidecar's own health. */
    public function health(): array
    {
        return $this->client()->health();
    }

    private function by(): ?string
    {
        return app(Caller::class)->name();
    }

    private function client(): SidecarClient
    {
        return app(SidecarClient::class);
    }
}
