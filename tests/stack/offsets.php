<?php

/**
 * Copies the package into a folder, with a check of every array offset that is no literal: PHP 8.5 deprecates
 * null as one, and older ones say nothing. In an application, the copy fails on whatever of it PHP deprecates.
 * Usage: php offsets.php PACKAGE FOLDER
 */

declare(strict_types=1);

const CHECK = '\WhatsappSidecar\Laravel\Offset::of(';

const CHECKED = <<<'PHP'
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

/** Whether what follows such a token in brackets is an offset: an array has a blank before it. */
function is_indexed(PhpToken $token): bool
{
    return in_array($token->text, [']', ')', '}'], true)
        || $token->is([T_VARIABLE, T_STRING, T_CONSTANT_ENCAPSED_STRING, T_NAME_QUALIFIED]);
}

/** @param list<PhpToken> $inside an offset's */
function is_literal(array $inside): bool
{
    $constant = [T_CONSTANT_ENCAPSED_STRING, T_LNUMBER, T_STRING, T_DOUBLE_COLON, T_WHITESPACE, T_CLASS];
    foreach ($inside as $token) {
        if (! $token->is($constant) || $token->text === '(') {
            return false;
        }
    }

    return true;
}

/** @param list<PhpToken> $tokens */
function closing(array $tokens, int $open): int
{
    for ($depth = 0, $at = $open;; $at++) {
        $depth += match ($tokens[$at]->text) {
            '[', '#[' => 1,
            ']' => -1,
            default => 0,
        };
        if ($depth === 0) {
            return $at;
        }
    }
}

function checked(string $code): string
{
    $tokens = PhpToken::tokenize($code);
    $before = $after = [];
    foreach ($tokens as $at => $token) {
        if ($token->text !== '[' || ! is_indexed($tokens[$at - 1]) || in_string($tokens, $at)) {
            continue;
        }
        $end = closing($tokens, $at);
        if (! is_literal(array_slice($tokens, $at + 1, $end - $at - 1))) {
            $before[$at + 1] = CHECK;
            $after[$end] = ')';
        }
    }
    $text = '';
    foreach ($tokens as $at => $token) {
        $text .= ($after[$at] ?? '') . ($before[$at] ?? '') . $token->text;
    }

    return $text;
}

/**
 * Whether the bracket is of a text's own short way of offsets, as in "$a[b]".
 *
 * @param list<PhpToken> $tokens
 */
function in_string(array $tokens, int $at): bool
{
    return $tokens[$at + 1]->is([T_STRING, T_NUM_STRING]) && $tokens[$at + 2]->text === ']'
        && ($tokens[$at - 2] ?? null)?->is([T_ENCAPSED_AND_WHITESPACE, ord('"')]);
}

[, $package, $folder] = $argv;
$files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator(
    $package,
    FilesystemIterator::SKIP_DOTS | FilesystemIterator::KEY_AS_PATHNAME
));
foreach ($files as $name => $file) {
    $part = substr($name, strlen($package) + 1);
    if (! preg_match('~^(src|config|routes)/.*\.php$~', $part)) {
        continue;
    }
    if (! is_dir(dirname("{$folder}/{$part}"))) {
        mkdir(dirname("{$folder}/{$part}"), 0755, true);
    }
    $code = file_get_contents($name);
    file_put_contents("{$folder}/{$part}", str_starts_with($part, 'src/') ? checked($code) : $code);
}
file_put_contents("{$folder}/src/Offset.php", CHECKED);
