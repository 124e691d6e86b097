<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use Illuminate\Auth\GenericUser;
use Illuminate\Auth\RequestGuard;
use Illuminate\Container\Container;
use Illuminate\Http\Request;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Access\UserName;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\Transport;
use WhatsappSidecar\Laravel\Sidecar;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signer;

/** Who has a campaign started or stopped is told to the sidecar, where that is known. */
final class CallersNameTest extends TestCase implements Transport
{
    private string $sent = '';

    private int $asked = 0;

    protected function setUp(): void
    {
        $app = new Container();
        Container::setInstance($app);
        $signer = new Signer(Keys::parse('k1:a secret of the test'), new StoppedClock(0));
        $app->instance(SidecarClient::class, new SidecarClient($this, $signer, 'http://sidecar', 1.0));
        $app->instance(UserName::class, new UserName(['name']));
    }

    protected function tearDown(): void
    {
        Container::setInstance();
    }

    /** @dataProvider calls */
    #[\PHPUnit\Framework\Attributes\DataProvider('calls')]
    public function testWhoIsSignedInIsNamed(string $method): void
    {
        $this->guard(true);
        (new Sidecar())->{$method}('c');
        self::assertSame('Ada', json_decode($this->sent, true)['by']);
        self::assertSame(1, $this->asked);
    }

    public static function calls(): array
    {
        return [['sendCampaign'], ['pause'], ['resume'], ['cancel']];
    }

    public function testNobodyIsLookedForInTheDatabase(): void
    {
        $this->guard(false);
        (new Sidecar())->pause('c', 'why');
        self::assertSame(['reason' => 'why'], json_decode($this->sent, true));
        self::assertSame(0, $this->asked);
    }

    public function testAnApplicationWithoutGuards(): void
    {
        (new Sidecar())->pause('c');
        self::assertSame(['reason' => null], json_decode($this->sent, true));
        $auth = new class () {
            public function guard(): object
            {
                throw new InvalidArgumentException('Auth guard [none] is not defined.');
            }
        };
        Container::getInstance()->instance('auth', $auth);
        (new Sidecar())->cancel('c');
        self::assertSame(['reason' => null], json_decode($this->sent, true));
    }

    /** Bind a guard of one user, whom it looks for when it is asked; $known: it was. */
    private function guard(bool $known): void
    {
        $find = function (): GenericUser {
            $this->asked++;

            return new GenericUser(['id' => 1, 'name' => 'Ada']);
        };
        $guard = new RequestGuard($find, Request::create('/'));
        if ($known) {
            $guard->user();
        }
        $auth = new class ($guard) {
            public function __construct(private object $guard)
            {
            }

            public function guard(): object
            {
                return $this->guard;
            }
        };
        Container::getInstance()->instance('auth', $auth);
    }

    public function send(string $method, string $url, array $headers, string $body, float $timeoutS): array
    {
        $this->sent = $body;

        return [200, '{"state": "running"}'];
    }
}
