<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Support\Setting;

/** The sidecar is held to the same vectors by tests/sidecar/test_settings_vectors.py. */
final class SettingTest extends TestCase
{
    /** @dataProvider vectors */
    #[\PHPUnit\Framework\Attributes\DataProvider('vectors')]
    public function testItIsParsedAsTheSidecarParsesIt(string $kind, string $value, mixed $parsed): void
    {
        $read = [
            'lists' => static fn (): array => Setting::list($value),
            'keys' => static fn (): array => self::secrets(Keys::parse($value)),
            'flags' => static fn (): bool => Setting::flag($value, 'X'),
            'windows' => static fn (): int => Setting::whole($value, 10, 3600, 'X'),
            'urls' => static fn (): string => Setting::url($value, 'X'),
        ][$kind];
        try {
            $found = $read();
        } catch (InvalidArgumentException $error) {
            $found = null;
            self::assertStringNotContainsString('0123456789', $error->getMessage());
        }
        self::assertSame($parsed, $found);
    }

    public static function vectors(): iterable
    {
        $file = __DIR__ . '/../../vectors/settings.json';
        $vectors = json_decode(file_get_contents($file), true, 512, JSON_THROW_ON_ERROR);
        unset($vectors['about']);
        foreach ($vectors as $kind => $cases) {
            foreach ($cases as [$value, $parsed]) {
                yield "{$kind}: " . json_encode($value) => [$kind, $value, $parsed];
            }
        }
    }

    public function testWhatIsNoTextIsFromAFile(): void
    {
        self::assertSame(['a, b', 'c'], Setting::list(['a, b', 'c']));
        self::assertSame([], Setting::list(null));
        self::assertTrue(Setting::flag(true, 'X'));
        self::assertFalse(Setting::flag(null, 'X'));
        self::assertSame(300, Setting::whole(300, 10, 3600, 'X'));
    }

    public function testATimeZoneIsOneByName(): void
    {
        self::assertSame('America/Sao_Paulo', Setting::zone('America/Sao_Paulo', 'X')->getName());
        foreach (['Sao Paulo', '+02:00', '', null, 'nowhere'] as $value) {
            try {
                Setting::zone($value, 'X');
                self::fail(json_encode($value));
            } catch (InvalidArgumentException $error) {
                self::assertStringStartsWith('X must be a time zone', $error->getMessage());
            }
        }
    }

    /** @return array<int|string, string> */
    private static function secrets(Keys $keys): array
    {
        $secrets = [];
        foreach ($keys->ids() as $id) {
            $secrets[$id] = $keys->secret($id);
        }

        return $secrets;
    }
}
