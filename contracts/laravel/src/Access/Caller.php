<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Access;

use Throwable;

/** Who is signed in to the application while it calls the sidecar, for the sidecar's audit. */
final class Caller
{
    public function __construct(private UserName $name)
    {
    }

    /** Return the name if it is known already: no guard is made for it, and no database asked. */
    public function name(): ?string
    {
        try {
            return $this->known();
        } catch (Throwable $error) {
            report($error); // a campaign is to be stopped, whoever wants it

            return null;
        }
    }

    private function known(): ?string
    {
        $auth = app()->bound('auth') ? app('auth') : null;
        if ($auth === null || ! method_exists($auth, 'hasResolvedGuards') || ! $auth->hasResolvedGuards()) {
            return null;
        }
        $guard = $auth->guard();
        $known = method_exists($guard, 'hasUser') && $guard->hasUser();

        return $known ? $this->name->of($guard->user()) : null;
    }
}
