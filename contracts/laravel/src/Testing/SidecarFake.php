<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Testing;

use Closure;
use Illuminate\Container\Container;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Support\Collection;
use InvalidArgumentException;
use PHPUnit\Framework\Assert as PHPUnit;
use Throwable;
use WhatsappSidecar\Laravel\Bots\BotMatching;
use WhatsappSidecar\Laravel\Cache\ChangedModels;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\Transport;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Effects\Posts;
use WhatsappSidecar\Laravel\Sidecar;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signer;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Uuid;

/**
 * A sidecar for tests: it records what it is asked for and does nothing. See the facade's fake().
 *
 * An assertion takes what the call was about (a campaign's uid, a phone number or a user id) or a closure, which gets
 * the call's arguments in their order and returns whether it is meant; null means any call.
 */
final class SidecarFake extends Sidecar implements Transport
{
    /** Methods that have something leave for customers, AIs or others. */
    private const SENDING = [
        'sendCampaign', 'resume', 'sendMessage', 'aiReply', 'forward', 'broadcast', 'fetchMedia', 'effects',
    ];

    /** @var list<array{string, array<string, mixed>}> methods and their arguments by name */
    private array $calls = [];

    /** @param array<string, mixed> $answers by method; see the facade's fake() */
    public function __construct(private array $answers = [])
    {
        foreach (array_keys($answers) as $method) {
            if (! method_exists(Sidecar::class, $method)) {
                throw new InvalidArgumentException("Sidecar::fake(): there is no method {$method}()");
            }
        }
    }

    public function sendCampaign(string $campaignUid): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function pause(string $campaignUid, ?string $reason = null): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function resume(string $campaignUid, ?string $reason = null): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function cancel(string $campaignUid, ?string $reason = null): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function progress(string $campaignUid): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function matchBot(int|string $vendor, string $message, ?array $contact = null): array
    {
        return $this->record(__FUNCTION__, get_defined_vars(), ['matches' => []]);
    }

    public function matchBots(string $message, int|string $vendor, array $facts = []): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function matchedBots(): ?array
    {
        return $this->record(__FUNCTION__, [], null);
    }

    public function isHandling(): bool
    {
        return $this->record(__FUNCTION__, [], false);
    }

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
        return $this->record(__FUNCTION__, get_defined_vars(), Uuid::random());
    }

    public function aiReply(
        int|string $vendor,
        string $messageUid,
        array $messages,
        ?string $provider = null,
        ?string $model = null,
        array $options = [],
        ?int $expiresAt = null
    ): string {
        return $this->record(__FUNCTION__, get_defined_vars(), $messageUid);
    }

    public function forward(int|string $vendor, array|string|null $body = null, ?string $key = null): void
    {
        $this->record(__FUNCTION__, get_defined_vars());
    }

    public function fetchMedia(int|string $vendor, string $wamid, array $media): string
    {
        return $this->record(__FUNCTION__, get_defined_vars(), Uuid::random());
    }

    public function media(string $id): ?array
    {
        return $this->record(__FUNCTION__, get_defined_vars(), null);
    }

    public function broadcast(int|string $vendor, array $channels, string $event, mixed $data = null): void
    {
        $this->record(__FUNCTION__, get_defined_vars());
    }

    public function effects(string $vendorUid, array $effects): array
    {
        return $this->record(__FUNCTION__, get_defined_vars(), ['taken' => count($effects), 'known' => 0]);
    }

    public function cutover(
        ?array $vendorUids,
        array $modes,
        string $by,
        ?string $reason = null,
        float $timeoutS = 30
    ): array {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function rollback(?array $vendorUids, string $by, ?string $reason = null, float $timeoutS = 30): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function invalidate(?array $vendorUids = null, array $scopes = ['settings', 'bots']): array
    {
        return $this->record(__FUNCTION__, get_defined_vars(), ['result' => 'done']);
    }

    public function modes(): array
    {
        return $this->record(__FUNCTION__, []);
    }

    public function vendorSettings(int|string $vendor): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function bots(int|string $vendor): array
    {
        return $this->record(__FUNCTION__, get_defined_vars());
    }

    public function consoleUrl(?Authenticatable $user): string
    {
        return $this->record(__FUNCTION__, get_defined_vars(), '/sidecar/');
    }

    public function health(): array
    {
        return $this->record(__FUNCTION__, [], ['status' => 'ok']);
    }

    /**
     * Return the calls of a method, each as its arguments by name.
     *
     * @return Collection<int, array<string, mixed>>
     */
    public function recorded(string $method, ?Closure $filter = null): Collection
    {
        return Collection::make($this->calls)
            ->where(0, $method)
            ->pluck(1)
            ->filter(static fn (array $arguments): bool => ! $filter || $filter(...array_values($arguments)))
            ->values();
    }

    public function assertCampaignStarted(string|Closure|null $campaign = null, ?int $times = null): void
    {
        $this->assertCalled('sendCampaign', 'campaignUid', $campaign, $times);
    }

    public function assertCampaignNotStarted(string|Closure|null $campaign = null): void
    {
        $this->assertCalled('sendCampaign', 'campaignUid', $campaign, 0);
    }

    public function assertCampaignPaused(string|Closure|null $campaign = null, ?int $times = null): void
    {
        $this->assertCalled('pause', 'campaignUid', $campaign, $times);
    }

    public function assertCampaignResumed(string|Closure|null $campaign = null, ?int $times = null): void
    {
        $this->assertCalled('resume', 'campaignUid', $campaign, $times);
    }

    public function assertCampaignCancelled(string|Closure|null $campaign = null, ?int $times = null): void
    {
        $this->assertCalled('cancel', 'campaignUid', $campaign, $times);
    }

    public function assertMessageSent(string|Closure|null $to = null, ?int $times = null): void
    {
        $this->assertCalled('sendMessage', 'to', $to, $times);
    }

    public function assertMessageNotSent(string|Closure|null $to = null): void
    {
        $this->assertCalled('sendMessage', 'to', $to, 0);
    }

    public function assertAiAsked(string|Closure|null $message = null, ?int $times = null): void
    {
        $this->assertCalled('aiReply', 'messageUid', $message, $times);
    }

    public function assertForwarded(int|string|Closure|null $vendor = null, ?int $times = null): void
    {
        $this->assertCalled('forward', 'vendor', $vendor, $times);
    }

    public function assertMediaFetched(string|Closure|null $wamid = null, ?int $times = null): void
    {
        $this->assertCalled('fetchMedia', 'wamid', $wamid, $times);
    }

    public function assertBroadcast(string|Closure|null $event = null, ?int $times = null): void
    {
        $this->assertCalled('broadcast', 'event', $event, $times);
    }

    public function assertCutover(?Closure $filter = null, ?int $times = null): void
    {
        $this->assertCalled('cutover', '', $filter, $times);
    }

    public function assertRolledBack(?Closure $filter = null, ?int $times = null): void
    {
        $this->assertCalled('rollback', '', $filter, $times);
    }

    public function assertInvalidated(?Closure $filter = null, ?int $times = null): void
    {
        $this->assertCalled('invalidate', '', $filter, $times);
    }

    /** No campaign was started or resumed, and nothing else was to leave. */
    public function assertNothingSent(): void
    {
        $sent = array_intersect(array_column($this->calls, 0), self::SENDING);
        PHPUnit::assertSame([], array_values($sent), 'Something was sent unexpectedly: ' . implode(', ', $sent) . '.');
    }

    /**
     * Have nothing leave by the package's own doing either: announcements of changed models, events of
     * the broadcast driver.
     *
     * @internal
     */
    public function replaceClient(Container $app): void
    {
        $signer = new Signer(Keys::parse('fake:a-key-that-signs-nothing'), new Clock());
        $app->instance(SidecarClient::class, new SidecarClient($this, $signer, 'http://sidecar.invalid', 1.0));
        foreach ([BotMatching::class, ChangedModels::class, Effects::class, Posts::class] as $hasClient) {
            $app->forgetInstance($hasClient);
        }
    }

    /** @inheritDoc */
    public function send(string $method, string $url, array $headers, string $body, float $timeoutS): array
    {
        return [200, '{}'];
    }

    /** @param array<string, mixed> $arguments */
    private function record(string $method, array $arguments, mixed $default = []): mixed
    {
        $this->calls[] = [$method, $arguments];
        $answer = array_key_exists($method, $this->answers) ? $this->answers[$method] : $default;
        if ($answer instanceof Throwable) {
            throw $answer;
        }

        return $answer instanceof Closure ? $answer(...array_values($arguments)) : $answer;
    }

    /** @param string $about the argument that $meant is compared with, unless that is a closure */
    private function assertCalled(string $method, string $about, int|string|Closure|null $meant, ?int $times): void
    {
        $calls = $meant === null || $meant instanceof Closure
            ? $this->recorded($method, $meant)
            : $this->recorded($method)->whereStrict($about, $meant);
        $which = $meant === null || $meant instanceof Closure ? '' : " for [{$meant}]";
        if ($times === null) {
            PHPUnit::assertNotEmpty($calls, "The expected call of {$method}(){$which} was not made.");

            return;
        }
        PHPUnit::assertCount(
            $times,
            $calls,
            "{$method}(){$which} was called {$calls->count()} times instead of {$times} times."
        );
    }
}
