<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http\Middleware;

use Closure;
use Illuminate\Contracts\Foundation\Application;
use Illuminate\Http\Request;
use Symfony\Component\HttpFoundation\Response;
use WhatsappSidecar\Laravel\Http\Answer;

/**
 * Tells the sidecar that the application is in maintenance (`php artisan down`), however that is answered to
 * others: by a page, a redirect, or another status. Calls that the application lets through are handled.
 */
final class AnswerInMaintenance
{
    /** Of requests that have reached the package's routes. */
    public const REACHED = 'whatsapp-sidecar.reached';

    public function __construct(private Application $app)
    {
    }

    public function handle(Request $request, Closure $next): Response
    {
        $response = $next($request);
        $turnedAway = $request->is('internal/*')
            && ! $request->attributes->has(self::REACHED)
            && $this->app->isDownForMaintenance();

        return $turnedAway
            ? Answer::error('maintenance', 'the application is in maintenance; php artisan up ends it', 503)
            : $response;
    }
}
