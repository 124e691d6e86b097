<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use stdClass;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Engine\MessageText;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Person;

/** The sidecar is held to the same vectors by tests/contracts/test_answering.py and test_text.py. */
final class AnsweringTest extends TestCase
{
    /** @dataProvider messages */
    #[\PHPUnit\Framework\Attributes\DataProvider('messages')]
    public function testWhoMayBeAnsweredAndWhatIsRead(
        stdClass $message,
        ?string $refusal,
        string $said,
        ?string $shown
    ): void {
        self::assertSame($refusal, (new Answering())->refusal($message));
        self::assertSame($said, MessageText::said($message));
        self::assertSame($shown, MessageText::of($message));
    }

    public static function messages(): iterable
    {
        return self::vectors('messages');
    }

    /** @dataProvider times */
    #[\PHPUnit\Framework\Attributes\DataProvider('times')]
    public function testWhenAMessageWasSent(mixed $timestamp, int $received, int $sent): void
    {
        $message = (object) ['timestamp' => $timestamp];
        self::assertSame($sent, Answering::sentMs($message, $received));
        self::assertSame($sent + 86_100_000, Answering::until(Answering::sentMs($message, $received)));
        self::assertSame($received, Answering::sentMs(new stdClass(), $received));
    }

    public static function times(): iterable
    {
        return self::vectors('times');
    }

    /** @dataProvider numbers */
    #[\PHPUnit\Framework\Attributes\DataProvider('numbers')]
    public function testTheBusinesssOwnNumber(mixed $who, mixed $shown, bool $own): void
    {
        self::assertSame($own, Person::of([$who])->hasNumber($shown));
    }

    public static function numbers(): iterable
    {
        return self::vectors('numbers');
    }

    public function testAnInstallationMayAllowMoreOrLess(): void
    {
        $reaction = (object) ['type' => 'reaction'];
        self::assertNull((new Answering([...Answering::TYPES, 'reaction']))->refusal($reaction));
        self::assertSame('type', (new Answering(['button']))->refusal((object) ['type' => 'text']));
        $inGroup = (object) ['type' => 'text', 'group_id' => 'g'];
        self::assertNull((new Answering(groups: true))->refusal($inGroup));
        // They are no messages.
        foreach (['edit', 'revoke'] as $type) {
            self::assertSame('type', (new Answering([$type]))->refusal((object) ['type' => $type]));
        }
    }

    private static function vectors(string $kind): iterable
    {
        $vectors = Json::read(file_get_contents(__DIR__ . '/../../vectors/answering.json'));
        foreach ($vectors->{$kind} as $place => $case) {
            yield "{$place}: " . substr(Json::dump($case[0]), 0, 60) => $case;
        }
    }
}
