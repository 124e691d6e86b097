<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Support\Text;

final class TextTest extends TestCase
{
    public function testAShortTextIsOnePiece(): void
    {
        self::assertSame(['Hello.'], Text::pieces(" Hello.\n"));
        self::assertSame(['éééé'], Text::pieces('éééé', 4));
        self::assertSame([], Text::pieces(" \n"));
    }

    public function testALongTextIsCutAtALineOrABlankOrWhereItIsFull(): void
    {
        self::assertSame(["ab cd\nef", 'gh ij'], Text::pieces("ab cd\nef\ngh ij", 10));
        self::assertSame(['ab cd ef', 'gh ij'], Text::pieces('ab cd ef gh ij', 10));
        self::assertSame(['ééééé', 'ééééé', 'é'], Text::pieces(str_repeat('é', 11), 5));
        // A blank that stands so early would leave a piece almost empty.
        self::assertSame(['a bbbbbbbb', 'bbb'], Text::pieces('a bbbbbbbbbbb', 10));
    }

    public function testNoPieceIsTooLongAndNothingIsLost(): void
    {
        $words = implode(' ', array_map(static fn (int $n): string => str_repeat('wörd', $n % 7 + 1), range(1, 2000)));
        $pieces = Text::pieces($words);
        self::assertGreaterThan(4, count($pieces));
        self::assertSame($words, implode(' ', $pieces));
        foreach ($pieces as $piece) {
            self::assertLessThanOrEqual(Text::MAX_LENGTH, mb_strlen($piece));
        }
    }
}
