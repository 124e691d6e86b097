<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http\Controllers;

use Illuminate\Http\Request;
use Illuminate\Http\Response;
use WhatsappSidecar\Laravel\Actions\StoreWebhooks;
use WhatsappSidecar\Laravel\Http\Answer;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;

/** PHP's own webhook route: Meta's verification, and deliveries while the sidecar is down. */
final class WebhookController
{
    /** The installation's own webhook, which belongs to no vendor. */
    private const BASE_WEBHOOK = 'service-whatsapp';

    /** Answer Meta's verification with the bare challenge, and mark the vendor as verified. */
    public function verify(Request $request, string $vendorUid, Vendors $vendors): Response
    {
        // PHP makes underscores of the dots in parameters' names.
        $challenge = self::parameter($request, 'hub_challenge');
        $right = hash_equals(sha1($vendorUid), self::parameter($request, 'hub_verify_token'))
            && self::parameter($request, 'hub_mode') === 'subscribe'
            && $challenge !== '';
        $vendor = $right ? $vendors->find($vendorUid) : null;
        if ($vendor === null && ! ($right && $vendorUid === self::BASE_WEBHOOK)) {
            return Answer::text('Forbidden', 403);
        }
        if ($vendor !== null) {
            $vendors->set($vendor, 'webhook_verified_at', $vendors->now());
        }

        return Answer::text($challenge);
    }

    /** Put a webhook that the vendor's app signed into the webhook table. */
    public function receive(Request $request, string $vendorUid, Vendors $vendors, StoreWebhooks $store): Response
    {
        $limit = (int) config('whatsapp-sidecar.max_body_bytes');
        $body = $request->getContent();
        if (strlen($body) > $limit) {
            return Answer::text('Content Too Large', 413);
        }
        $vendor = $vendors->find($vendorUid);
        if ($vendor === null) {
            return Answer::text('Not Found', 404);
        }
        if (! self::signed($vendor, (string) $request->headers->get('X-Hub-Signature-256'), $body)) {
            return Answer::text('Unauthorized', 401);
        }
        $headers = array_map(
            static fn (array $values): string => mb_scrub(implode(', ', $values)),
            $request->headers->all()
        );
        $store->storeRaw($vendor, $headers, $body);

        return Answer::text('done');
    }

    /** Tell whether one of the app secrets made this signature. */
    private static function signed(Vendor $vendor, string $signature, string $body): bool
    {
        foreach ($vendor->appSecrets() as $secret) {
            if (hash_equals('sha256=' . hash_hmac('sha256', $body, $secret), $signature)) {
                return true;
            }
        }

        return false;
    }

    private static function parameter(Request $request, string $name): string
    {
        $value = $request->query->all()[$name] ?? '';

        return is_string($value) ? $value : '';
    }
}
