<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use Illuminate\Auth\AuthManager;
use Illuminate\Auth\GenericUser;
use Illuminate\Auth\RequestGuard;
use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Http\Request;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Access\UserName;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\Transport;
use WhatsappSidecar\Laravel\Sidecar;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signer;

/** Who has a campaign started or stopped is told to the sidecar, where that is known. */
final class CallerTest extends TestCase implements Transport
{
    private string $sent = '';

    private int $asked = 0;

    /** @var list<\Throwable> */
    private array $reported = [];

    protected function setUp(): void
    {
        $app = new Container();
        Container::setInstance($app);
        $signer = new Signer(Keys::parse('k1:a secret of the test'), new StoppedClock(0));
        $app->instance(SidecarClient::class, new SidecarClient($this, $signer, 'http://sidecar', 1.0));
        $app->instance(UserName::class, new UserName(['name']));
        $handler = $this->createStub(ExceptionHandler::class);
        $handler->method('report')->willReturnCallback(function (\Throwable $error): void {
            $this->reported[] = $error;
        });
        $app->instance(ExceptionHandler::class, $handler);
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

    public function testAnApplicationInWhichNobodyIsLookedUp(): void
    {
        (new Sidecar())->pause('c');
        self::assertSame(['reason' => null], json_decode($this->sent, true));
        Container::getInstance()->instance('auth', new AuthManager(Container::getInstance()));
        (new Sidecar())->pause('c');
        self::assertSame(['reason' => null], json_decode($this->sent, true));
        Container::getInstance()->instance('auth', new class () {
        });
        (new Sidecar())->cancel('c');
        self::assertSame(['reason' => null], json_decode($this->sent, true));
    }

    public function testAnApplicationWhoseAuthFailsStopsCampaignsAllTheSame(): void
    {
        $this->guard(true);
        Container::getInstance()->make('auth')->setDefaultDriver('none');
        (new Sidecar())->pause('c', 'why');
        self::assertSame(['reason' => 'why'], json_decode($this->sent, true));
        self::assertCount(1, $this->reported);
    }

    /** Have the application's guard be of one user, whom it looks for when it is asked; $known: it was. */
    private function guard(bool $known): void
    {
        $app = Container::getInstance();
        $find = function (): GenericUser {
            $this->asked++;

            return new GenericUser(['id' => 1, 'name' => 'Ada']);
        };
        $app->instance('config', new Repository(['auth' => [
            'defaults' => ['guard' => 'web', 'provider' => null],
            'guards' => ['web' => ['driver' => 'own']],
        ]]));
        $auth = new AuthManager($app);
        $auth->extend('own', static fn (): RequestGuard => new RequestGuard($find, Request::create('/')));
        $guard = $auth->guard();
        if ($known) {
            $guard->user();
        }
        $app->instance('auth', $auth);
    }

    public function send(string $method, string $url, array $headers, string $body, float $timeoutS): array
    {
        $this->sent = $body;

        return [200, '{"state": "running"}'];
    }
}
