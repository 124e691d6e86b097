<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Client;

/** HTTP by PHP's curl extension, which does not change the target that was signed. */
final class CurlTransport implements Transport
{
    public function send(string $method, string $url, array $headers, string $body, float $timeoutS): array
    {
        $lines = ['Expect:', 'Content-Type: application/json'];
        foreach ($headers as $name => $value) {
            $lines[] = "{$name}: {$value}";
        }
        $curl = curl_init($url);
        curl_setopt_array($curl, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => $lines,
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT_MS => (int) ($timeoutS * 1000),
            CURLOPT_NOSIGNAL => true,
            CURLOPT_PATH_AS_IS => true,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_PROXY => '',
        ] + ($method === 'GET' ? [] : [CURLOPT_POSTFIELDS => $body]));
        $answer = curl_exec($curl);
        if (! is_string($answer)) {
            throw new SidecarError("the sidecar at {$url} does not answer: " . curl_error($curl)
                . '; is it running, and is WHATSAPP_SIDECAR_URL right?');
        }

        return [(int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $answer];
    }
}
