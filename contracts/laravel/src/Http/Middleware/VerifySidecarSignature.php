<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http\Middleware;

use Closure;
use Illuminate\Http\Request;
use Symfony\Component\HttpFoundation\Response;
use WhatsappSidecar\Laravel\Http\Answer;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Signing\SignatureRefused;
use WhatsappSidecar\Laravel\Signing\Verifier;

/** Lets only calls through that the sidecar has signed, each once. */
final class VerifySidecarSignature
{
    public function __construct(private Verifier $verifier)
    {
    }

    public function handle(Request $request, Closure $next): Response
    {
        $request->attributes->set(AnswerInMaintenance::REACHED, true);
        $limit = (int) config('whatsapp-sidecar.max_body_bytes');
        $body = (int) $request->server('CONTENT_LENGTH') > $limit ? null : $request->getContent();
        if ($body === null || strlen($body) > $limit) {
            $refused = Refused::tooLarge($limit);

            return Answer::error($refused->reason, $refused->getMessage(), $refused->status);
        }
        try {
            $this->verifier->verify(
                $request->getRealMethod(),
                self::target($request),
                fn (string $name): ?string => $request->headers->get($name),
                $body
            );
        } catch (SignatureRefused $refused) {
            return Answer::error($refused->reason, $refused->getMessage(), 401);
        }

        return $next($request);
    }

    /** Return path and query as they went over the wire. */
    private static function target(Request $request): string
    {
        return preg_replace('~^https?://[^/?]*~i', '', (string) $request->server('REQUEST_URI'));
    }
}
