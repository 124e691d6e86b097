<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Client;

/** Sends one HTTP request. */
interface Transport
{
    /**
     * @param array<string, string> $headers
     *
     * @return array{int, string} status and body
     *
     * @throws SidecarError if there is no answer
     */
    public function send(string $method, string $url, array $headers, string $body, float $timeoutS): array;
}
