<?php

declare(strict_types=1);

namespace WhatsappSidecar\Stack;

use FilesystemIterator;
use PhpToken;
use RecursiveDirectoryIterator;
use RecursiveIteratorIterator;

/**
 * Copies the package into a folder, with a check of every array offset that is no literal: PHP 8.5 deprecates
 * null as one, and older ones say nothing. In an application, the copy fails on whatever of it PHP deprecates.
 */
final class Offsets
{
    private const CHECK = '\WhatsappSidecar\Laravel\Offset::of(';

    private const CHECKED = <<<'PHP'
<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel;

final class Offset
{
    public static function of(mixed $offset): mixed
    {
        return is_int($offset) || is_string($offset)
            ? $offset
            : throw new \LogicException('an array offset is of the type ' . get_debug_type($offset));
    }

    /** What the package does that PHP deprecates already. */
    public static function watch(): void
    {
        $outer = set_error_handler(static function (int $level, string $what, string $file, int $line) use (&$outer) {
            if (in_array($level, [E_DEPRECATED, E_USER_DEPRECATED], true) && str_starts_with($file, __DIR__)) {
                throw new \ErrorException($what, 0, $level, $file, $line);
            }

            return $outer === null ? false : $outer($level, $what, $file, $line);
        });
    }
}

if (! class_exists(\PHPUnit\Framework\TestCase::class, false)) {
    Offset::watch();
}
PHP;

    private const LITERAL = [
        T_CONSTANT_ENCAPSED_STRING, T_LNUMBER, T_STRING, T_DOUBLE_COLON, T_WHITESPACE, T_CLASS,
    ];

    public static function copy(string $package, string $folder): void
    {
        $all = new RecursiveDirectoryIterator($package, FilesystemIterator::SKIP_DOTS);
        foreach (new RecursiveIteratorIterator($all) as $file) {
            $part = substr($file->getPathname(), strlen($package) + 1);
            if (! preg_match('~^(src|config|routes)/.*\.php$~', $part)) {
                continue;
            }
            if (! is_dir(dirname("{$folder}/{$part}"))) {
                mkdir(dirname("{$folder}/{$part}"), 0755, true);
            }
            $code = file_get_contents($file->getPathname());
            file_put_contents("{$folder}/{$part}", str_starts_with($part, 'src/') ? self::checked($code) : $code);
        }
        file_put_contents("{$folder}/src/Offset.php", self::CHECKED);
    }

    private static function checked(string $code): string
    {
        $tokens = PhpToken::tokenize($code);
        $before = $after = [];
        foreach ($tokens as $at => $token) {
            if ($token->text !== '[' || ! self::isIndexed($tokens[$at - 1]) || self::isShort($tokens, $at)) {
                continue;
            }
            $end = self::closing($tokens, $at);
            if (! self::isLiteral(array_slice($tokens, $at + 1, $end - $at - 1))) {
                $before[$at + 1] = self::CHECK;
                $after[$end] = ')';
            }
        }
        $text = '';
        foreach ($tokens as $at => $token) {
            $text .= ($after[$at] ?? '') . ($before[$at] ?? '') . $token->text;
        }

        return $text;
    }

    /** Whether what follows the token in brackets is an offset: an array has a blank before it. */
    private static function isIndexed(PhpToken $token): bool
    {
        return in_array($token->text, [']', ')', '}'], true)
            || $token->is([T_VARIABLE, T_STRING, T_CONSTANT_ENCAPSED_STRING, T_NAME_QUALIFIED]);
    }

    /**
     * Whether the bracket is of a text's own short way of offsets, as in "$a[b]".
     *
     * @param list<PhpToken> $tokens
     */
    private static function isShort(array $tokens, int $at): bool
    {
        return $tokens[$at + 1]->is([T_STRING, T_NUM_STRING]) && $tokens[$at + 2]->text === ']'
            && in_array($tokens[$at - 2]->id, [T_ENCAPSED_AND_WHITESPACE, ord('"')], true);
    }

    /** @param list<PhpToken> $inside an offset's */
    private static function isLiteral(array $inside): bool
    {
        return array_filter($inside, static fn (PhpToken $token): bool => ! $token->is(self::LITERAL)) === [];
    }

    /** @param list<PhpToken> $tokens */
    private static function closing(array $tokens, int $open): int
    {
        for ($depth = 0, $at = $open;; $at++) {
            $text = $tokens[$at]->text;
            $depth += (int) in_array($text, ['[', '#['], true) - (int) ($text === ']');
            if ($depth === 0) {
                return $at;
            }
        }
    }
}
