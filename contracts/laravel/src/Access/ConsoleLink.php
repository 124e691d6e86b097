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

    private const PARAMETERS = [
        'key' => Signature::KEY_HEADER,
        'at' => Signature::TIMESTAMP_HEADER,
        'nonce' => Signature::NONCE_HEADER,
        'signature' => Signature::SIGNATURE_HEADER,
    ];

    /**
     * @param Signer $signer one for the console
     * @param string $base where browsers reach it: an address, or nothing for the application's own
     */
    public function __construct(
        private Gate $gate,
        private Signer $signer,
        private string $base,
        private UserName $name
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
        $claims = ['name' => $this->name->of($user), 'role' => $role];
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
}
