<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use JsonException;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Number;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Update;

final class JsonTest extends TestCase
{
    /** @return list<array{string}> */
    public static function numbers(): array
    {
        return array_map(static fn (string $number): array => [$number], [
            '0', '1.0', '10.50', '1e+22', '1E5', '1e999', '-1.5e-9', '0.1234567890123456789',
            '9223372036854775807', '9223372036854775808', '18446744073709551617', '-99999999999999999999',
        ]);
    }

    /** @dataProvider numbers */
    #[\PHPUnit\Framework\Attributes\DataProvider('numbers')]
    public function testDigitsAreKept(string $number): void
    {
        foreach (["[{$number}]", "{\"a\":{\"b\":[\"x\",{$number}]}}"] as $text) {
            self::assertSame($text, Json::dump(Json::read($text)));
        }
    }

    public function testDigitsInATextAreLeftAlone(): void
    {
        $text = '["12345678901234567890, 1.50: \"[1.50]\" \\\\",1.50]';
        [$said, $number] = Json::read($text);
        self::assertSame('12345678901234567890, 1.50: "[1.50]" \\', $said);
        self::assertInstanceOf(Number::class, $number);
        self::assertSame('1.50', (string) $number);
        self::assertSame($text, Json::dump([$said, $number]));
    }

    public function testWhoeverElseWritesANumberGetsAValue(): void
    {
        self::assertSame('["18446744073709551617",1.5]', json_encode(Json::read('[18446744073709551617,1.50]')));
    }

    /** What the application's own routine reads. */
    public function testAnUpdateIsHandedOnDigitForDigit(): void
    {
        $message = '{"id":"a","ratio":0.1234567890123456789,"at":18446744073709551617,"none":{},"no":[]}';
        $text = '{"entry":[{"changes":[{"field":"messages","value":{"messages":[' . $message . ']}}]}]}';
        $webhook = Json::read($text);
        [$part] = Envelope::split($webhook);
        self::assertSame($text, (new Update('v', $part, $webhook))->body());
        self::assertStringContainsString($message, Json::dump(Envelope::around($part)));
    }

    /** @return list<array{string}> */
    public static function broken(): array
    {
        return [['[01.5]'], ['[1.]'], ['[00.12345678901234567890]'], ['[1.5'], ['[12345678901234567890a]'], ['']];
    }

    /** @dataProvider broken */
    #[\PHPUnit\Framework\Attributes\DataProvider('broken')]
    public function testWhatIsNoJsonIsNone(string $text): void
    {
        $this->expectException(JsonException::class);
        Json::read($text);
    }

    public function testHalfCharactersAndInvalidBytesAreReplaced(): void
    {
        $text = '{"a":"\ud83d","b":"\ud83d\ude00","c":"\\\\ud83d","d":"\udc00x","e":"' . "\xFF" . '","\u0000f":1}';
        $right = '{"a":"�","b":"😀","c":"\\\\ud83d","d":"�x","e":"�","�f":1}';
        self::assertSame($right, Json::dump(Json::read("\xEF\xBB\xBF{$text}")));
        self::assertSame('"a�"', Json::dump("a\xC3"));
    }
}
