<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Client\Transport;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signature;
use WhatsappSidecar\Laravel\Signing\SignatureRefused;
use WhatsappSidecar\Laravel\Signing\Signer;
use WhatsappSidecar\Laravel\Signing\Verifier;

final class ClientTest extends TestCase implements Transport
{
    /** @var array{int, string} */
    private array $answer = [200, '{"state": "running"}'];

    /** @var array{string, string, string} */
    private array $sent;

    private float $waited;

    /** @var list<array{int, string}> what is answered before $answer */
    private array $answers = [];

    /** @var list<string> */
    private array $nonces = [];

    /** @dataProvider calls */
    #[\PHPUnit\Framework\Attributes\DataProvider('calls')]
    public function testEveryCallIsSignedForItsTarget(
        string $name,
        array $arguments,
        string $method,
        string $target,
        string $body
    ): void {
        self::assertSame(['state' => 'running'], $this->client()->{$name}(...$arguments));
        self::assertSame([$method, 'http://sidecar:8080/base' . $target], array_slice($this->sent, 0, 2));
        self::assertEquals(json_decode($body), json_decode($this->sent[2]));
    }

    public static function calls(): array
    {
        $null = '{"reason": null}';

        return [
            ['sendCampaign', ['c/1'], 'POST', '/internal/campaigns/c%2F1/send', '{}'],
            ['pause', ['c', 'why'], 'POST', '/internal/campaigns/c/pause', '{"reason": "why"}'],
            ['sendCampaign', ['c', 'Ada'], 'POST', '/internal/campaigns/c/send', '{"by": "Ada"}'],
            ['cancel', ['c', null, 'Ada'], 'POST', '/internal/campaigns/c/cancel', '{"reason": null, "by": "Ada"}'],
            ['resume', ['c'], 'POST', '/internal/campaigns/c/resume', $null],
            ['cancel', ['c'], 'POST', '/internal/campaigns/c/cancel', $null],
            ['progress', ['c'], 'GET', '/internal/campaigns/c', ''],
            ['health', [], 'GET', '/healthz', ''],
            ['matchBot', ['v', 'hi'], 'POST', '/match-bot', '{"vendor_uid": "v", "message": "hi"}'],
            ['matchBot', [7, 'hi', []], 'POST', '/match-bot', '{"vendorId": 7, "message": "hi", "contact": {}}'],
            ['effects', ['v', [['kind' => 'forward']]], 'POST', '/internal/effects',
                '{"vendor_uid": "v", "effects": [{"kind": "forward"}]}'],
            ['cutover', [['v'], ['webhooks' => 'shadow'], 'Ada'], 'POST', '/internal/modes',
                '{"vendor_uids": ["v"], "webhooks": "shadow", "by": "Ada", "reason": null, "timeout_s": 30}'],
            ['rollback', [null, 'Ada', 'why', 9.5], 'POST', '/internal/modes', '{"vendor_uids": [], "by": "Ada",'
                . ' "webhooks": "php", "campaigns": "php", "bots": "php", "reason": "why", "timeout_s": 9.5}'],
            ['invalidate', [['v'], ['bots']], 'POST', '/internal/invalidate',
                '{"vendor_uids": ["v"], "scopes": ["bots"]}'],
        ];
    }

    public function testNobodyIsNotEverybody(): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->client()->rollback([], 'Ada');
    }

    public function testAMoveIsWaitedFor(): void
    {
        $this->client()->rollback(['v'], 'Ada', null, 60);
        self::assertGreaterThan(60, $this->waited);
    }

    public function testARefusalSaysWhy(): void
    {
        $this->answer = [409, '{"error": {"code": "campaign_paused", "message": "it is paused"}}'];
        try {
            $this->client()->sendCampaign('c');
            self::fail('no error');
        } catch (SidecarError $error) {
            self::assertSame(['campaign_paused', 409], [$error->reason, $error->status]);
            self::assertStringContainsString('it is paused', $error->getMessage());
        }
    }

    public function testACallThatMayHaveBeenMadeBeforeARedisWasEmptiedIsSignedAnew(): void
    {
        $this->answers = [[401, '{"error": {"code": "nonces_lost", "message": "sign it anew"}}']];
        self::assertSame(['state' => 'running'], $this->client()->sendCampaign('c'));
        self::assertCount(2, array_unique($this->nonces));
        $this->answers = array_fill(0, 2, [401, '{"error": {"code": "nonces_lost", "message": "again"}}']);
        try {
            $this->client()->sendCampaign('c');
            self::fail('no error');
        } catch (SidecarError $error) {
            self::assertSame('nonces_lost', $error->reason);
        }
    }

    public function testAnAnswerThatIsNoJsonIsAnError(): void
    {
        $this->answer = [502, '<html>'];
        $this->expectException(SidecarError::class);
        $this->expectExceptionMessage('WHATSAPP_SIDECAR_URL');
        $this->client()->progress('c');
    }

    public function send(string $method, string $url, array $headers, string $body, float $timeoutS): array
    {
        $this->sent = [$method, $url, $body];
        $this->waited = $timeoutS;
        $target = substr($url, strlen('http://sidecar:8080'));
        $clock = new StoppedClock(1700000000000);
        $keys = Keys::parse('k:a-secret-of-a-test');
        $verifier = new Verifier($keys, new MemoryNonces(), $clock, 300, Signature::SIDECAR);
        try {
            $verifier->verify($method, $target, static fn (string $name): ?string => $headers[$name] ?? null, $body);
        } catch (SignatureRefused $refused) {
            self::fail($refused->getMessage());
        }

        $this->nonces[] = $headers[Signature::NONCE_HEADER];

        return array_shift($this->answers) ?? $this->answer;
    }

    private function client(): SidecarClient
    {
        $signer = new Signer(Keys::parse('k:a-secret-of-a-test'), new StoppedClock(1700000000000));

        return new SidecarClient($this, $signer, 'http://sidecar:8080/base', 1.0);
    }
}
