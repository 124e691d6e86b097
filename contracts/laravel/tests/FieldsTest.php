<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** The other side is held to the same vectors by tests/contracts/test_fields.py. */
final class FieldsTest extends TestCase
{
    /** @dataProvider changes */
    #[\PHPUnit\Framework\Attributes\DataProvider('changes')]
    public function testWhatAChangeIsSplitInto(stdClass $change, array $expected): void
    {
        $webhook = (object) ['entry' => [(object) ['changes' => [$change]]]];
        $found = [];
        foreach (Envelope::split($webhook) as $part) {
            $update = ['kind' => $part->kind, 'element' => $part->item];
            $update += (array) $part->contact === [] ? [] : ['contact' => $part->contact];
            $found[] = (object) $update;
            $again = Envelope::split(Envelope::around($part));
            self::assertCount(1, $again);
            self::assertEquals([$part->kind, $part->item], [$again[0]->kind, $again[0]->item]);
            self::assertEquals($part->contact, $again[0]->contact);
        }
        self::assertEquals($expected, $found);
    }

    public static function changes(): iterable
    {
        foreach (self::vectors()->changes as $case) {
            yield $case->name => [$case->change, $case->updates];
        }
    }

    /** @dataProvider ids */
    #[\PHPUnit\Framework\Attributes\DataProvider('ids')]
    public function testWhatAnIdIs(mixed $value, ?string $text): void
    {
        self::assertSame($text, Envelope::id($value));
    }

    public static function ids(): iterable
    {
        return self::vectors()->ids;
    }

    private static function vectors(): stdClass
    {
        return Json::read(file_get_contents(__DIR__ . '/../../vectors/fields.json'));
    }
}
