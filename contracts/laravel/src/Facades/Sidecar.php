<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Facades;

use Illuminate\Support\Facades\Facade;
use WhatsappSidecar\Laravel\Sidecar as Root;
use WhatsappSidecar\Laravel\Testing\SidecarFake;

// phpcs:disable Generic.Files.LineLength -- tools read a method from one line
/**
 * The sidecar, for the application's code. A vendor is named by `_uid` or by `_id`.
 *
 * @method static array sendCampaign(string $campaignUid)
 * @method static array pause(string $campaignUid, ?string $reason = null)
 * @method static array resume(string $campaignUid, ?string $reason = null)
 * @method static array cancel(string $campaignUid, ?string $reason = null)
 * @method static array progress(string $campaignUid)
 * @method static array matchBot(int|string $vendor, string $message, ?array $contact = null)
 * @method static array matchBots(string $message, int|string $vendor, array $facts = [])
 * @method static ?array matchedBots()
 * @method static bool isHandling()
 * @method static string sendMessage(int|string $vendor, string $to, array $message, ?int $contactId = null, ?string $phoneNumberId = null, ?int $expiresAt = null, ?string $key = null, array $columns = [])
 * @method static string aiReply(int|string $vendor, string $messageUid, array $messages, ?string $provider = null, ?string $model = null, array $options = [], ?int $expiresAt = null)
 * @method static void forward(int|string $vendor, array|string|null $body = null, ?string $key = null)
 * @method static string fetchMedia(int|string $vendor, string $wamid, array $media)
 * @method static ?array media(string $id)
 * @method static void broadcast(int|string $vendor, array $channels, string $event, mixed $data = null)
 * @method static array effects(string $vendorUid, array $effects)
 * @method static array cutover(?array $vendorUids, array $modes, string $by, ?string $reason = null, float $timeoutS = 30)
 * @method static array rollback(?array $vendorUids, string $by, ?string $reason = null, float $timeoutS = 30)
 * @method static array invalidate(?array $vendorUids = null, array $scopes = ['settings', 'bots'])
 * @method static array modes()
 * @method static array vendorSettings(int|string $vendor)
 * @method static array bots(int|string $vendor)
 * @method static string consoleUrl(?\Illuminate\Contracts\Auth\Authenticatable $user)
 * @method static array health()
 * @method static \Illuminate\Support\Collection recorded(string $method, ?\Closure $filter = null)
 * @method static void assertCampaignStarted(string|\Closure|null $campaign = null, ?int $times = null)
 * @method static void assertCampaignNotStarted(string|\Closure|null $campaign = null)
 * @method static void assertCampaignPaused(string|\Closure|null $campaign = null, ?int $times = null)
 * @method static void assertCampaignResumed(string|\Closure|null $campaign = null, ?int $times = null)
 * @method static void assertCampaignCancelled(string|\Closure|null $campaign = null, ?int $times = null)
 * @method static void assertMessageSent(string|\Closure|null $to = null, ?int $times = null)
 * @method static void assertMessageNotSent(string|\Closure|null $to = null)
 * @method static void assertAiAsked(string|\Closure|null $message = null, ?int $times = null)
 * @method static void assertForwarded(int|string|\Closure|null $vendor = null, ?int $times = null)
 * @method static void assertMediaFetched(string|\Closure|null $wamid = null, ?int $times = null)
 * @method static void assertBroadcast(string|\Closure|null $event = null, ?int $times = null)
 * @method static void assertCutover(?\Closure $filter = null, ?int $times = null)
 * @method static void assertRolledBack(?\Closure $filter = null, ?int $times = null)
 * @method static void assertInvalidated(?\Closure $filter = null, ?int $times = null)
 * @method static void assertNothingSent()
 *
 * @see Root
 * @see SidecarFake
 */
// phpcs:enable
final class Sidecar extends Facade
{
    /**
     * Have the calls recorded instead of made, for as long as this application lives.
     *
     * @param array<string, mixed> $answers by method: what it returns; a closure is called with the
     *     call's arguments, and an exception is thrown
     */
    public static function fake(array $answers = []): SidecarFake
    {
        $fake = new SidecarFake($answers);
        $fake->replaceClient(static::$app);
        static::swap($fake);

        return $fake;
    }

    protected static function getFacadeAccessor(): string
    {
        return Root::class;
    }
}
