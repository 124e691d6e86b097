<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use Closure;
use Illuminate\Foundation\Application;
use Illuminate\Support\Facades\Facade;
use InvalidArgumentException;
use PHPUnit\Framework\AssertionFailedError;
use PHPUnit\Framework\TestCase;
use ReflectionClass;
use ReflectionMethod;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Facades\Sidecar;
use WhatsappSidecar\Laravel\Sidecar as Root;
use WhatsappSidecar\Laravel\Testing\SidecarFake;

final class SidecarFakeTest extends TestCase
{
    private const TEXT = ['type' => 'text', 'text' => ['body' => 'Hi']];

    private Application $app;

    protected function setUp(): void
    {
        $this->app = new Application();
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication($this->app);
    }

    protected function tearDown(): void
    {
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication(null);
        Application::setInstance(null);
    }

    public function testEachMethodIsFakedAndNamedByTheFacade(): void
    {
        $doc = (string) (new ReflectionClass(Sidecar::class))->getDocComment();
        foreach (self::methods(Root::class) as $method) {
            $faked = new ReflectionMethod(SidecarFake::class, $method->getName());
            self::assertSame(SidecarFake::class, $faked->getDeclaringClass()->getName());
            self::assertEquals(self::parameters($method), self::parameters($faked));
        }
        $internal = ['send', 'replaceClient'];
        foreach (self::methods(SidecarFake::class) as $method) {
            $named = str_contains($doc, " {$method->getName()}(");
            self::assertSame(! in_array($method->getName(), $internal, true), $named, $method->getName());
        }
    }

    public function testWhoeverInjectsTheSidecarGetsTheFake(): void
    {
        $fake = Sidecar::fake();
        self::assertSame($fake, $this->app->make(Root::class));
        $this->app->make(Root::class)->sendCampaign('spring');
        Sidecar::assertCampaignStarted('spring');
    }

    public function testACallIsRecordedByItsArguments(): void
    {
        Sidecar::fake();
        Sidecar::cutover(['v'], ['bots' => 'sidecar'], by: 'Ada');
        $expected = [
            'vendorUids' => ['v'],
            'modes' => ['bots' => 'sidecar'],
            'by' => 'Ada',
            'reason' => null,
            'timeoutS' => 30.0,
        ];
        self::assertSame([$expected], Sidecar::recorded('cutover')->all());
        self::assertCount(0, Sidecar::recorded('cutover', fn (?array $uids): bool => $uids === null));
        self::assertCount(0, Sidecar::recorded('rollback'));
    }

    /** @dataProvider assertions */
    #[\PHPUnit\Framework\Attributes\DataProvider('assertions')]
    public function testAnAssertionHoldsOfItsCallAlone(
        string $assertion,
        Closure $call,
        string|int|Closure $about,
        string|int|Closure $other
    ): void {
        Sidecar::fake();
        self::fails(fn () => Sidecar::{$assertion}());
        Sidecar::{$assertion}(null, 0);
        $call();
        Sidecar::{$assertion}();
        Sidecar::{$assertion}($about);
        Sidecar::{$assertion}($about, 1);
        Sidecar::{$assertion}($other, 0);
        self::fails(fn () => Sidecar::{$assertion}($other));
        self::fails(fn () => Sidecar::{$assertion}($about, 0));
        self::fails(fn () => Sidecar::{$assertion}($about, 2));
    }

    public static function assertions(): iterable
    {
        yield ['assertCampaignStarted', fn () => Sidecar::sendCampaign('c'), 'c', 'd'];
        yield ['assertCampaignPaused', fn () => Sidecar::pause('c', 'why'), fn ($uid, $why) => $why === 'why', 'd'];
        yield ['assertCampaignResumed', fn () => Sidecar::resume('c'), 'c', 'd'];
        yield ['assertCampaignCancelled', fn () => Sidecar::cancel('c'), 'c', 'd'];
        yield ['assertMessageSent', fn () => Sidecar::sendMessage('v', '491', self::TEXT), '491', '0491'];
        $text = static fn (string $body): Closure => static fn ($vendor, $to, $sent) => $sent['text']['body'] === $body;
        yield ['assertMessageSent', fn () => Sidecar::sendMessage('v', '491', self::TEXT), $text('Hi'), $text('Bye')];
        yield ['assertAiAsked', fn () => Sidecar::aiReply('v', 'm', []), 'm', 'n'];
        yield ['assertForwarded', fn () => Sidecar::forward(7), 7, 8];
        yield ['assertMediaFetched', fn () => Sidecar::fetchMedia('v', 'wamid.1', ['id' => '7']), 'wamid.1', 'wamid.2'];
        yield ['assertBroadcast', fn () => Sidecar::broadcast('v', ['x'], 'told'), 'told', 'other'];
        $to = static fn (string $mode): Closure => static fn ($vendors, $modes) => $modes['bots'] === $mode;
        yield ['assertCutover', fn () => Sidecar::cutover(['v'], ['bots' => 'php'], 'Ada'), $to('php'), $to('shadow')];
        $all = static fn ($vendors) => $vendors === null;
        $some = static fn ($vendors) => $vendors !== null;
        yield ['assertRolledBack', fn () => Sidecar::rollback(null, 'Ada'), $all, $some];
        yield ['assertInvalidated', fn () => Sidecar::invalidate(['v']), $some, $all];
    }

    public function testWhatWasNotSentIsAssertedToo(): void
    {
        Sidecar::fake();
        Sidecar::pause('c');
        Sidecar::progress('c');
        Sidecar::assertNothingSent();
        Sidecar::assertCampaignNotStarted();
        Sidecar::assertMessageNotSent();
        Sidecar::sendMessage('v', '491', self::TEXT);
        Sidecar::assertMessageNotSent('492');
        Sidecar::assertCampaignNotStarted();
        self::fails(fn () => Sidecar::assertMessageNotSent('491'));
        self::fails(fn () => Sidecar::assertNothingSent());
        Sidecar::fake();
        Sidecar::assertNothingSent();
        Sidecar::sendCampaign('c');
        Sidecar::assertCampaignNotStarted('d');
        self::fails(fn () => Sidecar::assertCampaignNotStarted('c'));
        self::fails(fn () => Sidecar::assertNothingSent());
    }

    public function testAnswersCanBeGiven(): void
    {
        Sidecar::fake([
            'progress' => ['state' => 'paused'],
            'matchBots' => static fn (string $message): array => [['bot_uid' => $message]],
            'sendCampaign' => new SidecarError('it does not answer'),
            'matchedBots' => [],
        ]);
        self::assertSame(['state' => 'paused'], Sidecar::progress('c'));
        self::assertSame([['bot_uid' => 'hi']], Sidecar::matchBots('hi', 'v'));
        self::assertSame([], Sidecar::matchedBots());
        $this->expectExceptionMessage('it does not answer');
        Sidecar::sendCampaign('c');
    }

    public function testWithoutAnswersItReturnsWhatItsKindOfCallDoes(): void
    {
        Sidecar::fake();
        self::assertNull(Sidecar::matchedBots());
        self::assertNull(Sidecar::media('7'));
        self::assertSame('m', Sidecar::aiReply('v', 'm', []));
        self::assertNotSame(Sidecar::sendMessage('v', '1', self::TEXT), Sidecar::sendMessage('v', '1', self::TEXT));
        self::assertSame([], Sidecar::matchBots('hi', 'v'));
    }

    public function testAnAnswerOfNoMethodIsAMistake(): void
    {
        $this->expectException(InvalidArgumentException::class);
        Sidecar::fake(['sendCampain' => []]);
    }

    public function testWhatGoesPastTheFacadeGoesNowhere(): void
    {
        $this->app->instance(Effects::class, $this);
        Sidecar::fake();
        self::assertSame([], $this->app->make(SidecarClient::class)->invalidate());
        self::assertFalse($this->app->isShared(Effects::class), 'it is made anew, with that client');
    }

    private static function fails(Closure $assertion): void
    {
        try {
            $assertion();
        } catch (AssertionFailedError) {
            self::assertTrue(true);

            return;
        }
        self::fail('the assertion should have failed');
    }

    /** @return list<ReflectionMethod> the public ones, without the constructor */
    private static function methods(string $class): array
    {
        return array_filter(
            (new ReflectionClass($class))->getMethods(ReflectionMethod::IS_PUBLIC),
            static fn (ReflectionMethod $method): bool => ! $method->isConstructor()
        );
    }

    /** @return list<string> */
    private static function parameters(ReflectionMethod $method): array
    {
        return array_map('strval', $method->getParameters());
    }
}
