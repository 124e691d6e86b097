<?php

declare(strict_types=1);

namespace App;

use CurlHandle;

/** What the application itself posts: messages to Meta's Cloud API, a pool at a time, and webhooks. It waits. */
final class CloudApi
{
    private const TIMEOUT_S = 10;

    /**
     * Send messages side by side.
     *
     * @param array<int, array{string, string, array<string, mixed>}> $messages token, phone number id, message
     *
     * @return array<int, array{int, array<string, mixed>}> status and answer of each, by the same keys; status 0
     *     where there was no answer
     */
    public function sendAll(array $messages): array
    {
        $pool = curl_multi_init();
        $calls = [];
        foreach ($messages as $key => [$token, $number, $message]) {
            $url = rtrim(config('services.whatsapp.url'), '/') . "/{$number}/messages";
            $body = ['messaging_product' => 'whatsapp', 'recipient_type' => 'individual'] + $message;
            $calls[$key] = self::call($url, json_encode($body), ["Authorization: Bearer {$token}"]);
            curl_multi_add_handle($pool, $calls[$key]);
        }
        do {
            curl_multi_exec($pool, $running);
            curl_multi_select($pool, 0.1);
        } while ($running > 0);

        return array_map(static function (CurlHandle $call): array {
            $answer = json_decode((string) curl_multi_getcontent($call), true);

            return [(int) curl_getinfo($call, CURLINFO_RESPONSE_CODE), is_array($answer) ? $answer : []];
        }, $calls);
    }

    /** Post a webhook. Whoever does not take it, does not get it. */
    public function post(string $url, string $body): void
    {
        curl_exec(self::call($url, $body));
    }

    /** @param list<string> $headers */
    private static function call(string $url, string $body, array $headers = []): CurlHandle
    {
        $call = curl_init($url);
        curl_setopt_array($call, [
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => ['Expect:', 'Content-Type: application/json', ...$headers],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => self::TIMEOUT_S,
        ]);

        return $call;
    }
}
