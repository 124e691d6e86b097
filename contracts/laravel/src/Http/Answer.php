<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http;

use Illuminate\Http\Response;
use WhatsappSidecar\Laravel\Support\Json;

/** Answers in JSON. */
final class Answer
{
    /** @param array<string, mixed> $content */
    public static function json(array $content, int $status = 200): Response
    {
        return new Response(Json::dump($content), $status, ['Content-Type' => 'application/json']);
    }

    public static function error(string $reason, string $message, int $status): Response
    {
        return self::json(['error' => ['code' => $reason, 'message' => $message]], $status);
    }

    public static function text(string $content, int $status = 200): Response
    {
        return new Response($content, $status, ['Content-Type' => 'text/plain; charset=utf-8']);
    }
}
