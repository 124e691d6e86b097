<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Client;

use InvalidArgumentException;
use JsonException;
use WhatsappSidecar\Laravel\Signing\Signer;
use WhatsappSidecar\Laravel\Support\Json;

/** Signed calls to the sidecar. Each returns its JSON answer as an array, or throws SidecarError. */
final class SidecarClient
{
    public function __construct(
        private Transport $transport,
        private Signer $signer,
        private string $url,
        private float $timeoutS
    ) {
    }

    /**
     * Have a campaign's due rows sent now.
     *
     * @param string|null $by who says so, for the sidecar's audit
     */
    public function sendCampaign(string $campaignUid, ?string $by = null): array
    {
        return $this->post($this->campaign($campaignUid, 'send'), self::by($by));
    }

    /**
     * @param string|null $reason shown to people
     * @param string|null $by who says so, for the sidecar's audit
     */
    public function pause(string $campaignUid, ?string $reason = null, ?string $by = null): array
    {
        return $this->post($this->campaign($campaignUid, 'pause'), ['reason' => $reason] + self::by($by));
    }

    public function resume(string $campaignUid, ?string $reason = null, ?string $by = null): array
    {
        return $this->post($this->campaign($campaignUid, 'resume'), ['reason' => $reason] + self::by($by));
    }

    public function cancel(string $campaignUid, ?string $reason = null, ?string $by = null): array
    {
        return $this->post($this->campaign($campaignUid, 'cancel'), ['reason' => $reason] + self::by($by));
    }

    /** Return how far a campaign is. */
    public function progress(string $campaignUid): array
    {
        return $this->call('GET', $this->campaign($campaignUid), '');
    }

    /**
     * Return the bots that answer a message, in order of priority.
     *
     * @param int|string $vendor `_uid` or `_id`
     * @param array<string, mixed>|null $contact facts that decide about welcome bots and opt-outs
     */
    public function matchBot(int|string $vendor, string $message, ?array $contact = null): array
    {
        $request = [is_int($vendor) ? 'vendorId' : 'vendor_uid' => $vendor, 'message' => $message];

        return $this->post('/match-bot', $contact === null ? $request : $request + ['contact' => (object) $contact]);
    }

    /**
     * Say what changed, so that the sidecar reads it again.
     *
     * @param list<string>|null $vendorUids null for every vendor
     * @param list<string> $scopes of "settings" and "bots"
     */
    public function invalidate(?array $vendorUids = null, array $scopes = ['settings', 'bots']): array
    {
        return $this->post('/internal/invalidate', ['vendor_uids' => $vendorUids, 'scopes' => $scopes]);
    }

    /**
     * Have effects done that belong to no update. Each is taken once, by its id.
     *
     * @param list<array<string, mixed>> $effects 1,000 at most
     */
    public function effects(string $vendorUid, array $effects): array
    {
        return $this->post('/internal/effects', ['vendor_uid' => $vendorUid, 'effects' => $effects]);
    }

    /**
     * Test the way to the sidecar, and the signature.
     *
     * @param string|null $token one that the sidecar may know
     */
    public function ping(?string $token = null): array
    {
        return $this->post('/internal/ping', ['token' => $token]);
    }

    /**
     * Move vendors' work, and wait until it is done or $timeoutS have passed: the answer says what a vendor
     * still waits for, and the call may be repeated.
     *
     * @param list<string>|null $vendorUids null for every vendor
     * @param array<string, string> $modes what changes: webhooks, campaigns, bots
     * @param string $by who says so, kept with the change
     */
    public function cutover(
        ?array $vendorUids,
        array $modes,
        string $by,
        ?string $reason = null,
        float $timeoutS = 30
    ): array {
        if ($vendorUids === []) {
            throw new InvalidArgumentException('vendorUids: must not be empty; null means every vendor');
        }

        return $this->within($this->timeoutS + $timeoutS)->post('/internal/modes', [
            'vendor_uids' => $vendorUids ?? [],
            'by' => $by,
            'reason' => $reason,
            'timeout_s' => $timeoutS,
        ] + $modes);
    }

    /**
     * Give vendors' work back to PHP, all of it. See cutover().
     *
     * @param list<string>|null $vendorUids null for every vendor
     */
    public function rollback(?array $vendorUids, string $by, ?string $reason = null, float $timeoutS = 30): array
    {
        $modes = ['webhooks' => 'php', 'campaigns' => 'php', 'bots' => 'php'];

        return $this->cutover($vendorUids, $modes, $by, $reason, $timeoutS);
    }

    /** Return a client that waits no longer than this. */
    public function within(float $timeoutS): self
    {
        return new self($this->transport, $this->signer, $this->url, $timeoutS);
    }

    /** Return the sidecar's own health. */
    public function health(): array
    {
        return $this->call('GET', '/healthz', '');
    }

    /** @return array<string, string> */
    private static function by(?string $by): array
    {
        return $by === null ? [] : ['by' => $by];
    }

    private function campaign(string $uid, ?string $what = null): string
    {
        return '/internal/campaigns/' . rawurlencode($uid) . ($what === null ? '' : "/{$what}");
    }

    /** @param array<string, mixed> $request */
    private function post(string $target, array $request): array
    {
        return $this->call('POST', $target, Json::dump((object) $request));
    }

    private function call(string $method, string $target, string $body): array
    {
        try {
            return $this->callOnce($method, $target, $body);
        } catch (SidecarError $error) {
            if ($error->reason !== 'nonces_lost') {
                throw $error;
            }
        }
        // The sidecar's Redis was emptied just now; nothing has happened, and what is signed later counts.
        usleep(5_000);

        return $this->callOnce($method, $target, $body);
    }

    private function callOnce(string $method, string $target, string $body): array
    {
        $headers = $this->signer->headers($method, $this->prefix() . $target, $body);
        [$status, $answer] = $this->transport->send($method, $this->url . $target, $headers, $body, $this->timeoutS);
        try {
            $content = json_decode($answer, true, 512, JSON_THROW_ON_ERROR);
        } catch (JsonException) {
            throw new SidecarError("the sidecar answered {$method} {$target} with {$status} and no JSON; is"
                . " WHATSAPP_SIDECAR_URL ({$this->url}) the sidecar's address?", null, $status);
        }
        if ($status >= 400 || ! is_array($content)) {
            $reason = $content['error']['code'] ?? null;
            $message = $content['error']['message'] ?? 'no reason was given';
            throw new SidecarError(
                "the sidecar refused {$method} {$target} with {$status}"
                    . ($reason === null ? '' : " {$reason}") . ": {$message}",
                $reason,
                $status
            );
        }

        return $content;
    }

    /** Return the path under which the sidecar stands, which is signed too. */
    private function prefix(): string
    {
        return rtrim((string) parse_url($this->url, PHP_URL_PATH), '/');
    }
}
