<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use Illuminate\Auth\Access\AuthorizationException;
use Illuminate\Auth\Access\Gate;
use Illuminate\Auth\GenericUser;
use Illuminate\Container\Container;
use Illuminate\Http\Request;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Access\ConsoleLink;
use WhatsappSidecar\Laravel\Access\UserName;
use WhatsappSidecar\Laravel\Http\Controllers\ConsoleController;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Signature;
use WhatsappSidecar\Laravel\Signing\Signer;

/** The vector is the one of tests/contracts/test_console.py. */
final class ConsoleLinkTest extends TestCase
{
    private const NOW_MS = 1700000000000;

    private const SECRET = 'a secret of the test';

    private const CLAIMS = 'name=Zo%C3%AB%20%26%20%3Cb%3EAda%3C%2Fb%3E%20%F0%9F%91%8B&role=operate';

    private const GOLDEN = 'v2=8411ab92252732acba6f1661d940b01bed5ced54bfc60e486bc82d602ac565af';

    private const NAME = 'Zoë & <b>Ada</b> 👋';

    public function testGoldenVector(): void
    {
        $target = '/sidecar/sign-in/link?' . self::CLAIMS;
        $signed = Signature::of(
            self::SECRET,
            Signature::CONSOLE,
            'GET',
            $target,
            '1700000000.000',
            'Aa0_-Zz9',
            ''
        );
        self::assertSame(self::GOLDEN, $signed);
        [$path, $query] = $this->link(self::NAME, ['operateSidecar']);
        self::assertSame('/sidecar/sign-in/link', $path);
        self::assertStringStartsWith(self::CLAIMS . '&key=k1&at=1700000000.000&nonce=', $query);
        parse_str($query, $parameters);
        self::assertSame(['name', 'role', 'key', 'at', 'nonce', 'signature'], array_keys($parameters));
        self::assertSame(Signature::of(
            self::SECRET,
            Signature::CONSOLE,
            'GET',
            $target,
            $parameters['at'],
            $parameters['nonce'],
            ''
        ), $parameters['signature']);
    }

    public function testNoLinkIsMadeTwice(): void
    {
        self::assertNotSame($this->link('Ada', ['viewSidecar']), $this->link('Ada', ['viewSidecar']));
    }

    /** @dataProvider gates */
    #[\PHPUnit\Framework\Attributes\DataProvider('gates')]
    public function testTheGatesSayWhichRole(array $passed, ?string $role, array $closed = []): void
    {
        try {
            [, $query] = $this->link('Ada', $passed, $closed);
        } catch (AuthorizationException $refused) {
            self::assertNull($role);
            self::assertStringContainsString('operateSidecar', $refused->getMessage());

            return;
        }
        parse_str($query, $parameters);
        self::assertSame($role, $parameters['role']);
    }

    public static function gates(): array
    {
        return [
            'undefined' => [[], null],
            'closed' => [[], null, ['viewSidecar', 'operateSidecar']],
            'look' => [['viewSidecar'], 'look', ['operateSidecar']],
            'look, the other undefined' => [['viewSidecar'], 'look'],
            'operate' => [['operateSidecar'], 'operate', ['viewSidecar']],
            'both' => [['viewSidecar', 'operateSidecar'], 'operate'],
        ];
    }

    public function testNobodyGetsNoLink(): void
    {
        $this->expectException(AuthorizationException::class);
        $this->maker(['operateSidecar'])->for(null);
    }

    /** @dataProvider names */
    #[\PHPUnit\Framework\Attributes\DataProvider('names')]
    public function testTheNameIsOneLineAndNeverEmpty(array $attributes, string $expected): void
    {
        $url = $this->maker(['viewSidecar'])->for(new GenericUser(['id' => 7] + $attributes));
        parse_str((string) parse_url($url, PHP_URL_QUERY), $parameters);
        self::assertSame($expected, $parameters['name']);
    }

    public static function names(): array
    {
        return [
            [['name' => 'Ada', 'email' => 'a@b'], 'Ada'],
            [['name' => '', 'email' => 'a@b'], 'a@b'],
            [['name' => " \u{202e}\n ", 'email' => 'a@b'], 'a@b'],
            [['name' => null], 'user 7'],
            [['name' => ['no', 'text']], 'user 7'],
            [['name' => 12], '12'],
            [['name' => " Ada\r\nLovelace\u{202e} \u{a0}\0x"], 'Ada Lovelace x'],
            [['name' => "a\xffb"], 'a?b'],
            [['name' => str_repeat('👋', 101)], str_repeat('👋', 100)],
        ];
    }

    public function testTheConsoleMayHaveAnAddressOfItsOwn(): void
    {
        $maker = $this->maker(['viewSidecar'], [], 'https://ops.example.com');
        $url = $maker->for(new GenericUser(['id' => 1]));
        self::assertStringStartsWith('https://ops.example.com/sidecar/sign-in/link?name=user%201&role=look&', $url);
    }

    public function testTheRouteLeadsThereAndIsKeptNowhere(): void
    {
        $request = Request::create('/whatsapp-sidecar/console');
        $request->setUserResolver(static fn (): GenericUser => new GenericUser(['id' => 1, 'name' => 'Ada']));
        $response = (new ConsoleController())->open($request, $this->maker(['viewSidecar']));
        self::assertSame(302, $response->getStatusCode());
        self::assertStringStartsWith('/sidecar/sign-in/link?name=Ada&', $response->headers->get('Location'));
        self::assertStringContainsString('no-store', $response->headers->get('Cache-Control'));
        self::assertSame('no-referrer', $response->headers->get('Referrer-Policy'));
    }

    /**
     * @param list<string> $passed gates that let everybody through
     * @param list<string> $closed gates that let nobody through
     *
     * @return array{string, string} path and query
     */
    private function link(string $name, array $passed, array $closed = []): array
    {
        $url = $this->maker($passed, $closed)->for(new GenericUser(['id' => 1, 'name' => $name]));

        return explode('?', $url, 2);
    }

    private function maker(array $passed, array $closed = [], string $base = ''): ConsoleLink
    {
        $gate = new Gate(new Container(), static fn () => null);
        foreach ($passed as $name) {
            $gate->define($name, static fn (GenericUser $user): bool => true);
        }
        foreach ($closed as $name) {
            $gate->define($name, static fn (GenericUser $user): bool => false);
        }
        $keys = Keys::parse('k1:' . self::SECRET);
        $signer = new Signer($keys, new StoppedClock(self::NOW_MS), Signature::CONSOLE);

        return new ConsoleLink($gate, $signer, $base, new UserName(['name', 'email']));
    }
}
