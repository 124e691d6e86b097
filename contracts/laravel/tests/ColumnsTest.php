<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Store\Columns;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;

final class ColumnsTest extends TestCase
{
    public function testTextsAreCutAtACharacter(): void
    {
        $text = Columns::fit('logs', 'message', str_repeat('😀', 20000));
        self::assertSame(65532, strlen($text));
        self::assertTrue(mb_check_encoding($text, 'UTF-8'));
        self::assertSame(str_repeat('é', 150), Columns::fit('contacts', 'first_name', str_repeat('é', 151)));
        self::assertSame('x', Columns::fit('vendors', 'title', 'x'));
    }

    public function testIdsAreWholeOrLeftOut(): void
    {
        self::assertSame('1', Columns::fit('contacts', 'wa_id', '1'));
        self::assertNull(Columns::fit('contacts', 'wa_id', str_repeat('1', 46)));
        $row = ['contact_wa_id' => str_repeat('1', 46), 'is_forwarded' => 1, 'message' => null];
        self::assertSame(['contact_wa_id' => null] + $row, Columns::fitRow('logs', $row));
        self::assertSame('123456789012345678901', Columns::fit('logs', 'message', Json::read('123456789012345678901')));
    }

    public function testAWamidThatIsTooLongHasAStandIn(): void
    {
        $long = 'wamid.' . str_repeat('é', 280);
        $stored = Wamid::stored($long);
        self::assertSame(255, mb_strlen($stored));
        self::assertSame(Columns::fit('logs', 'wamid', $long), $stored);
        self::assertStringEndsWith('~' . hash('sha256', $long), $stored);
        self::assertSame(['wamid' => $long], Wamid::data($long));
        self::assertSame([$stored, $stored], Wamid::same($long));
        self::assertSame($stored, Wamid::stored($stored));
        $fits = str_repeat('é', 255);
        self::assertSame([$fits, []], [Wamid::stored($fits), Wamid::data($fits)]);
    }
}
