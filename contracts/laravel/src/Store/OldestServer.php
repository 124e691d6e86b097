<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use UnexpectedValueException;

/** The oldest database servers whose JSON_TABLE does what the package needs of it. */
final class OldestServer
{
    /** Before 8.0.30, MySQL made the text "null" of JSON's null. */
    private const VERSIONS = ['mariadb' => '10.6', 'mysql' => '8.0.30'];

    private const NAMES = ['mariadb' => 'MariaDB', 'mysql' => 'MySQL'];

    /**
     * Return what a server is, for people.
     *
     * @param string $product mariadb or mysql
     *
     * @throws UnexpectedValueException it is too old
     */
    public static function check(string $product, string $version): string
    {
        // Distributions put more behind the number, which version_compare() would take for a pre-release.
        preg_match('/\d+(\.\d+)*/', $version, $number);
        $oldest = self::VERSIONS[$product];
        $found = self::NAMES[$product] . " {$version}";
        if (version_compare($number[0] ?? '0', $oldest) < 0) {
            throw new UnexpectedValueException("{$found} is too old; the package needs {$oldest} or newer");
        }

        return $found;
    }
}
