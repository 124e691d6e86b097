<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use UnexpectedValueException;
use WhatsappSidecar\Laravel\Store\OldestServer;

final class OldestServerTest extends TestCase
{
    /** @dataProvider servers */
    #[\PHPUnit\Framework\Attributes\DataProvider('servers')]
    public function testWhatIsTooOldIsRefused(string $product, string $version, ?string $oldest): void
    {
        if ($oldest !== null) {
            $this->expectException(UnexpectedValueException::class);
            $this->expectExceptionMessage("{$version} is too old; the package needs {$oldest} or newer");
        }
        self::assertStringContainsString($version, OldestServer::check($product, $version));
    }

    public static function servers(): iterable
    {
        yield ['mysql', '5.7.44-log', '8.0.30'];
        yield ['mysql', '8.0.21', '8.0.30'];
        yield ['mysql', '8.0.29-0ubuntu0.20.04.2', '8.0.30'];
        // Speaks as a MySQL, and has no JSON_TABLE.
        yield ['mysql', '8.0.11-TiDB-v7.5.0', '8.0.30'];
        yield ['mysql', 'unknown', '8.0.30'];
        yield ['mysql', '8.0.30', null];
        yield ['mysql', '8.0.30-google', null];
        yield ['mysql', '8.0.36-28.1', null];
        yield ['mysql', '8.4.0', null];
        yield ['mysql', '9.7.4-2', null];
        yield ['mariadb', '10.5.29-MariaDB', '10.6'];
        yield ['mariadb', '10.6.0-MariaDB', null];
        yield ['mariadb', '10.11.14-MariaDB-0+deb12u2', null];
        yield ['mariadb', '11.8.2-MariaDB', null];
    }
}
