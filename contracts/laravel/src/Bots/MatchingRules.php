<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Bots;

use Illuminate\Support\Str;

/** How this installation's PHP matches, where versions of Laravel and PCRE differ. */
final class MatchingRules
{
    /**
     * Find out by trying.
     *
     * @return array{wildcard_spans_lines: bool, marks_are_letters: bool, numbers_by_value: bool}
     */
    public static function probe(): array
    {
        return [
            'wildcard_spans_lines' => Str::is('a*b', "a\nb"),
            'marks_are_letters' => preg_match('/\bcafe\b/u', "cafe\u{301}") === 0,
            'numbers_by_value' => Str::is('1.0', '1'),
        ];
    }
}
