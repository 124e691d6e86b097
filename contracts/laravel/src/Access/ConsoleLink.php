<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Access;

use Illuminate\Auth\Access\AuthorizationException;
use Illuminate\Contracts\Auth\Access\Gate;
use Illuminate\Contracts\Auth\Authenticatable;
use WhatsappSidecar\Laravel\Signing\Signature;
use WhatsappSidecar\Laravel\Signing\Signer;

/**
 * Makes the links by which users of the application sign in to the sidecar's console
 * (contracts/console.py): each holds for a minute, and once.
 */
final class ConsoleLink
{
    public const LOOK = 'viewSidecar';

    public const OPERATE = 'operateSidecar';

    private const PATH = '/sidecar/sign-in/link';

    private const NAME_LENGTH = 100;

    private const PARAMETERS = [
        'key' => Signature::KEY_HEADER,
        'at' => Signature::TIMESTAMP_HEADER,
        'nonce' => Signature::NONCE_HEADER,
        'signature' => Signature::SIGNATURE_HEADER,
    ];

    /**
     * @param Signer $signer one for the console
     * @param string $base where browsers reach it: an address, or nothing for the application's own
     * @param list<string> $names attributes of a user; the first that is not empty names it
     */
    public function __construct(
        private Gate $gate,
        private Signer $signer,
        private string $base,
        private array $names
    ) {
    }

    /** @throws AuthorizationException for those whom neither gate lets through */
    public function for(?Authenticatable $user): string
    {
        $role = $user === null ? null : $this->role($user);
        if ($role === null) {
            throw new AuthorizationException(
                'Neither the gate ' . self::OPERATE . ' nor ' . self::LOOK . ' lets this user through.'
            );
        }
        $claims = ['name' => $this->name($user), 'role' => $role];
        $target = self::PATH . '?' . http_build_query($claims, '', '&', PHP_QUERY_RFC3986);
        $headers = $this->signer->headers('GET', $target, '');
        $signed = array_map(static fn (string $header): string => $headers[$header], self::PARAMETERS);

        return $this->base . $target . '&' . http_build_query($signed, '', '&', PHP_QUERY_RFC3986);
    }

    private function role(Authenticatable $user): ?string
    {
        $gate = $this->gate->forUser($user);

        return match (true) {
            $gate->allows(self::OPERATE) => 'operate',
            $gate->allows(self::LOOK) => 'look',
            default => null,
        };
    }

    /** What the console shows and its audit keeps: one line of text, and never nothing. */
    private function name(Authenticatable $user): string
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

        return mb_substr($line, 0, self::NAME_LENGTH, 'UTF-8');
    }
}
