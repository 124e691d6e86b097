<?php

declare(strict_types=1);

namespace App;

use CurlHandle;
use WhatsappSidecar\Laravel\Store\Vendor;

/** Meta's Cloud API, called by the application itself: blocking, and a pool of calls at a time. */
final class CloudApi
{
    private const TIMEOUT_S = 10;

    /**
     * Send messages side by side.
     *
     * @param array<int, array{Vendor, string, array<string, mixed>}> $messages vendor, phone number id, message
     *
     * @return array<int, array{int, array<string, mixed>}> status and answer of each, by the same keys; status 0
     *     where there was no answer
     */
    public function sendAll(array $messages): array
    {
        $pool = curl_multi_init();
        $calls = [];
        foreach ($messages as $key => [$vendor, $number, $message]) {
            curl_multi_add_handle($pool, $calls[$key] = self::call($vendor, $number, $message));
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

    /** @param array<string, mixed> $message */
    private static function call(Vendor $vendor, string $number, array $message): CurlHandle
    {
        $call = curl_init(rtrim(config('services.whatsapp.url'), '/') . "/{$number}/messages");
        curl_setopt_array($call, [
            CURLOPT_POSTFIELDS => json_encode(
                ['messaging_product' => 'whatsapp', 'recipient_type' => 'individual'] + $message
            ),
            CURLOPT_HTTPHEADER => [
                'Expect:',
                'Content-Type: application/json',
                'Authorization: Bearer ' . $vendor->setting('access_token'),
            ],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => self::TIMEOUT_S,
        ]);

        return $call;
    }
}
