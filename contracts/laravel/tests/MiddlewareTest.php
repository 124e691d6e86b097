<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Http\Middleware\VerifySidecarSignature;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signature;
use WhatsappSidecar\Laravel\Signing\Signer;
use WhatsappSidecar\Laravel\Signing\Verifier;

final class MiddlewareTest extends TestCase
{
    private const TARGET = '/internal/claim-messages?trace=a%20b&x=%2F';

    private VerifySidecarSignature $middleware;

    private Signer $signer;

    protected function setUp(): void
    {
        $container = new Container();
        $container->instance('config', new Repository(['whatsapp-sidecar' => ['max_body_bytes' => 1000]]));
        Container::setInstance($container);
        $keys = Keys::parse('k:a-secret-of-a-test');
        $clock = new StoppedClock(1700000000000);
        $this->signer = new Signer($keys, $clock, Signature::BACKEND);
        $this->middleware = new VerifySidecarSignature(new Verifier($keys, new MemoryNonces(), $clock, 300));
    }

    protected function tearDown(): void
    {
        Container::setInstance(null);
    }

    public function testASignedCallGoesThroughOnce(): void
    {
        $headers = $this->signer->headers('POST', self::TARGET, '{}');
        self::assertSame([200, null], $this->answer('{}', $headers));
        self::assertSame([401, 'nonce_repeated'], $this->answer('{}', $headers));
    }

    public function testTheExactTargetIsWhatIsSigned(): void
    {
        $decoded = '/internal/claim-messages?trace=a b&x=/';
        $headers = $this->signer->headers('POST', $decoded, '{}');
        self::assertSame([401, 'signature_mismatch'], $this->answer('{}', $headers));
    }

    public function testATargetWithItsHostIsReadWithoutIt(): void
    {
        $headers = $this->signer->headers('POST', self::TARGET, '{}');
        self::assertSame([200, null], $this->answer('{}', $headers, 'http://php.internal' . self::TARGET));
    }

    public function testAnotherMethodInAHeaderDoesNotCount(): void
    {
        $headers = $this->signer->headers('DELETE', self::TARGET, '{}') + ['X-HTTP-Method-Override' => 'DELETE'];
        Request::enableHttpMethodParameterOverride();
        self::assertSame([401, 'signature_mismatch'], $this->answer('{}', $headers));
    }

    public function testAnUnsignedCallIsRefused(): void
    {
        self::assertSame([401, 'signature_missing'], $this->answer('{}', []));
    }

    public function testALargeBodyIsRefusedBeforeAnythingElse(): void
    {
        self::assertSame([413, 'body_too_large'], $this->answer(str_repeat(' ', 1001), []));
        self::assertSame([401, 'signature_missing'], $this->answer(str_repeat(' ', 1000), []));
    }

    /** @return array{int, ?string} status and reason code */
    private function answer(string $body, array $headers, string $target = self::TARGET): array
    {
        $request = Request::create('/internal/claim-messages', 'POST', [], [], [], [], $body);
        $request->server->set('REQUEST_URI', $target);
        $request->headers->add($headers);
        $response = $this->middleware->handle($request, static fn (): Response => new Response('{}'));
        $content = json_decode($response->getContent(), true);

        return [$response->getStatusCode(), $content['error']['code'] ?? null];
    }
}
