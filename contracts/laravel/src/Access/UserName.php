<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Access;

use Illuminate\Contracts\Auth\Authenticatable;

/** How the sidecar's console and its audit name a user of the application. */
final class UserName
{
    private const LENGTH = 100;

    /** @param list<string> $names attributes of a user; the first that is not empty names it */
    public function __construct(private array $names)
    {
    }

    /** Return one line of text, and never nothing. */
    public function of(Authenticatable $user): string
    {
        foreach ($this->names as $attribute) {
            $name = isset($user->{$attribute}) ? self::line($user->{$attribute}) : '';
            if ($name !== '') {
                return $name;
            }
        }

        return self::line('user ' . $user->getAuthIdentifier());
    }

    private static function line(mixed $value): string
    {
        $text = is_scalar($value) ? mb_scrub((string) $value, 'UTF-8') : '';
        $line = trim(preg_replace('/[\p{C}\p{Z}]+/u', ' ', $text));

        return mb_substr($line, 0, self::LENGTH, 'UTF-8');
    }
}
