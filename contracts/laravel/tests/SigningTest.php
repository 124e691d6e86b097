<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signature;
use WhatsappSidecar\Laravel\Signing\SignatureRefused;
use WhatsappSidecar\Laravel\Signing\Signer;
use WhatsappSidecar\Laravel\Signing\Verifier;

/** The vector is the one of tests/contracts/test_signing.py. */
final class SigningTest extends TestCase
{
    private const NOW = 1700000000;

    private const SECRET = 'a secret of the test';

    private const TARGET = '/internal/campaigns/c%2F1/send?dry=1';

    private const BODY = '{"reason":"späť 👋"}';

    private const FOR_SIDECAR = 'v2=433675edd747d192e0c106c62b99a7141f9dc2ae39f0381ceb43d27849d94f6b';

    private const HEADERS = [
        Signature::KEY_HEADER => 'k1',
        Signature::TIMESTAMP_HEADER => '1700000000.000',
        Signature::NONCE_HEADER => 'Aa0_-Zz9',
        Signature::SIGNATURE_HEADER => 'v2=a73d09de5e8cbabb908f464e9fcd9bbeafacb6c09a175e93de0d2961e57a7dfb',
    ];

    public function testGoldenVector(): void
    {
        self::assertSame(self::HEADERS[Signature::SIGNATURE_HEADER], $this->signed(Signature::BACKEND));
        self::assertSame(self::FOR_SIDECAR, $this->signed(Signature::SIDECAR));
        self::assertNull($this->refusal());
    }

    public function testACallForTheSidecarIsNotForPhp(): void
    {
        $headers = [Signature::SIGNATURE_HEADER => self::FOR_SIDECAR];
        self::assertSame(SignatureRefused::MISMATCH, $this->refusal($headers + self::HEADERS));
    }

    public function testWhatIsSignedVerifies(): void
    {
        $clock = new StoppedClock(self::NOW * 1000 + 9);
        $signer = new Signer(Keys::parse('k1:' . self::SECRET), $clock, Signature::BACKEND);
        $headers = $signer->headers('GET', '/x?y=%20', '');
        self::assertMatchesRegularExpression('/^[A-Za-z0-9_-]{8,64}$/D', $headers[Signature::NONCE_HEADER]);
        self::assertSame('1700000000.009', $headers[Signature::TIMESTAMP_HEADER]);
        self::assertNull($this->refusal($headers, 'GET', '/x?y=%20', ''));
    }

    public function testItSignsForTheSidecar(): void
    {
        $clock = new StoppedClock(self::NOW * 1000);
        $headers = (new Signer(Keys::parse('k1:' . self::SECRET), $clock))->headers('GET', '/x', '');
        self::assertSame(SignatureRefused::MISMATCH, $this->refusal($headers, 'GET', '/x', ''));
    }

    /** @dataProvider changes */
    #[\PHPUnit\Framework\Attributes\DataProvider('changes')]
    public function testEveryRefusalHasItsReason(string $reason, array $headers, array $call = []): void
    {
        self::assertSame($reason, $this->refusal($headers + self::HEADERS, ...$call));
    }

    public static function changes(): array
    {
        $missing = array_map(
            static fn (string $name): array => [SignatureRefused::MISSING, [$name => '']],
            array_keys(self::HEADERS)
        );

        return [
            ...$missing,
            [SignatureRefused::MALFORMED, [Signature::TIMESTAMP_HEADER => '+1700000000.000']],
            [SignatureRefused::MALFORMED, [Signature::TIMESTAMP_HEADER => "1700000000.000\n"]],
            [SignatureRefused::MALFORMED, [Signature::TIMESTAMP_HEADER => str_repeat('1', 13) . '.000']],
            [SignatureRefused::MALFORMED, [Signature::NONCE_HEADER => '1234567']],
            [SignatureRefused::MALFORMED, [Signature::NONCE_HEADER => str_repeat('a', 65)]],
            [SignatureRefused::MALFORMED, [Signature::NONCE_HEADER => "12345678\n"]],
            [SignatureRefused::KEY_UNKNOWN, [Signature::KEY_HEADER => 'k2']],
            [SignatureRefused::TIMESTAMP_STALE, [Signature::TIMESTAMP_HEADER => '1699999699.999']],
            [SignatureRefused::TIMESTAMP_STALE, [Signature::TIMESTAMP_HEADER => '1700000300.001']],
            [SignatureRefused::MISMATCH, [Signature::TIMESTAMP_HEADER => '1700000300.000']],
            [SignatureRefused::MISMATCH, [Signature::NONCE_HEADER => 'another-nonce']],
            [SignatureRefused::MISMATCH, [Signature::SIGNATURE_HEADER => 'v2=']],
            [
                SignatureRefused::MISMATCH,
                [Signature::SIGNATURE_HEADER => strtoupper(self::HEADERS[Signature::SIGNATURE_HEADER])],
            ],
            [SignatureRefused::MISMATCH, [], ['PUT']],
            [SignatureRefused::MISMATCH, [], ['POST', '/internal/campaigns/c/1/send?dry=1']],
            [SignatureRefused::MISMATCH, [], ['POST', self::TARGET, self::BODY . ' ']],
            [SignatureRefused::MISMATCH, [], ['POST', self::TARGET, '']],
        ];
    }

    public function testACallIsAcceptedOnce(): void
    {
        $verifier = $this->verifier();
        self::assertNull($this->refusal(by: $verifier));
        self::assertSame(SignatureRefused::NONCE_REPEATED, $this->refusal(by: $verifier));
    }

    public function testAMismatchDoesNotUseTheNonceUp(): void
    {
        $verifier = $this->verifier();
        self::assertSame(SignatureRefused::MISMATCH, $this->refusal(body: 'x', by: $verifier));
        self::assertNull($this->refusal(by: $verifier));
    }

    public function testKeysAreRotatedWithoutAGap(): void
    {
        $verifier = $this->verifier('k2:another-secret-of-a-test,k1:' . self::SECRET);
        self::assertNull($this->refusal(by: $verifier));
        $keys = Keys::parse('k2:another-secret-of-a-test,k1:' . self::SECRET);
        self::assertSame(['k2', 'another-secret-of-a-test'], $keys->signing());
    }

    public function testASecretMayHoldColons(): void
    {
        self::assertSame('b:c:0123456789abcdef', Keys::parse(' a:b:c:0123456789abcdef , ')->secret('a'));
    }

    /** @dataProvider brokenKeys */
    #[\PHPUnit\Framework\Attributes\DataProvider('brokenKeys')]
    public function testKeysOfAnotherFormAreRefusedWithoutShowingThem(string $value): void
    {
        try {
            Keys::parse($value)->signing();
            self::fail('accepted');
        } catch (InvalidArgumentException $error) {
            self::assertStringContainsString('WHATSAPP_SIDECAR_KEYS', $error->getMessage());
            self::assertStringNotContainsString('hush', $error->getMessage());
        }
    }

    public static function brokenKeys(): array
    {
        return [[''], ['hush'], ['a:b,hush'], [':hush'], ['a:']];
    }

    private function signed(string $audience): string
    {
        [$time, $nonce] = ['1700000000.000', 'Aa0_-Zz9'];

        return Signature::of(self::SECRET, $audience, 'post', self::TARGET, $time, $nonce, self::BODY);
    }

    private function verifier(string $keys = 'k1:' . self::SECRET): Verifier
    {
        return new Verifier(Keys::parse($keys), new MemoryNonces(), new StoppedClock(self::NOW * 1000), 300);
    }

    private function refusal(
        array $headers = self::HEADERS,
        string $method = 'POST',
        string $target = self::TARGET,
        string $body = self::BODY,
        ?Verifier $by = null
    ): ?string {
        try {
            ($by ?? $this->verifier())->verify(
                $method,
                $target,
                static fn (string $name): ?string => $headers[$name] ?? null,
                $body
            );
        } catch (SignatureRefused $refused) {
            return $refused->reason;
        }

        return null;
    }
}
