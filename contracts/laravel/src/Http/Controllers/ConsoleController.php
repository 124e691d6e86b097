<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http\Controllers;

use Illuminate\Http\RedirectResponse;
use Illuminate\Http\Request;
use WhatsappSidecar\Laravel\Access\ConsoleLink;

/** The way from the admin to the sidecar's console. */
final class ConsoleController
{
    public function open(Request $request, ConsoleLink $link): RedirectResponse
    {
        return new RedirectResponse($link->for($request->user()), 302, [
            'Cache-Control' => 'no-store',
            'Referrer-Policy' => 'no-referrer',
        ]);
    }
}
