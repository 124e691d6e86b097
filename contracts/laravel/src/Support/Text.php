<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

/** Texts of messages. */
final class Text
{
    /** Most characters of a text message (Meta's reference of the messages call). */
    public const MAX_LENGTH = 4096;

    /**
     * Return a text in pieces that a message can hold: cut at the last line break of a piece's second
     * half, or else at the last blank there, or else where it is full.
     *
     * @return list<string> none of them blank
     */
    public static function pieces(string $text, int $length = self::MAX_LENGTH): array
    {
        $pieces = [];
        $rest = trim(mb_scrub($text));
        while (mb_strlen($rest) > $length) {
            $piece = mb_substr($rest, 0, $length);
            foreach (["\n", ' '] as $mark) {
                $at = mb_strrpos($piece, $mark);
                if ($at !== false && $at >= intdiv($length, 2)) {
                    $piece = mb_substr($piece, 0, $at);
                    break;
                }
            }
            $pieces[] = rtrim($piece);
            $rest = ltrim(mb_substr($rest, mb_strlen($piece)));
        }

        return $rest === '' ? $pieces : [...$pieces, $rest];
    }
}
