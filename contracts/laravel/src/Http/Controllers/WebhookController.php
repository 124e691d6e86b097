<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http\Controllers;

use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Support\Facades\Log;
use WhatsappSidecar\Laravel\Actions\StoreWebhooks;
use WhatsappSidecar\Laravel\Http\Answer;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Webhook\Posted;

/** PHP's own webhook route: Meta's verification, and deliveries while the sidecar is down. */
final class WebhookController
{
    /** The installation's own webhook, which belongs to no vendor. */
    private const BASE_WEBHOOK = 'service-whatsapp';

    private const REFUSALS = [
        400 => 'Bad Request',
        401 => 'Unauthorized',
        404 => 'Not Found',
        413 => 'Content Too Large',
        415 => 'Unsupported Media Type',
    ];

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
        try {
            $webhook = Posted::of($request, (int) config('whatsapp-sidecar.max_body_bytes'));
        } catch (Refused $refused) {
            return self::refused($vendorUid, $refused->reason, $refused->status);
        }
        $vendor = $vendors->find($vendorUid);
        if ($vendor === null) {
            return self::refused($vendorUid, 'vendor_unknown', 404);
        }
        if (! $webhook->isSigned($vendor->appSecrets())) {
            return self::refused($vendorUid, 'signature_wrong', 401);
        }
        $headers = array_map(
            static fn (array $values): string => mb_scrub(implode(', ', $values)),
            $request->headers->all()
        );
        unset($headers['content-encoding'], $headers['content-length']);
        $store->storeRaw($vendor, ['x-hub-signature-256' => $webhook->signature] + $headers, $webhook->body);

        return Answer::text('done');
    }

    /**
     * The log says what was refused, and nothing of its content. The answer's words are other than the
     * sidecar's: whoever looks from outside can tell who has answered.
     */
    private static function refused(string $vendorUid, string $reason, int $status): Response
    {
        Log::warning("whatsapp-sidecar: a webhook was refused: {$reason}", ['vendor' => mb_substr($vendorUid, 0, 64)]);

        return Answer::text(self::REFUSALS[$status], $status);
    }

    private static function parameter(Request $request, string $name): string
    {
        $value = $request->query->all()[$name] ?? '';

        return is_string($value) ? $value : '';
    }
}
