<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use App\Models\StoredWebhook;
use App\Models\Vendor;
use App\VendorSettings;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Support\Str;

/** The application's own webhook route: it stores what is posted for its cron, and checks no signature. */
final class WebhookController
{
    public function verify(Request $request, string $vendorUid, VendorSettings $settings): Response
    {
        $vendor = Vendor::query()->where('_uid', $vendorUid)->first();
        if ($vendor === null || $request->query('hub_verify_token') !== sha1($vendorUid)) {
            return response('Forbidden', 403);
        }
        $settings->set($vendor->_id, 'webhook_verified_at', date('Y-m-d H:i:s'));

        return response((string) $request->query('hub_challenge'));
    }

    /** A body that the table does not take is not answered with 200, so that Meta comes again. */
    public function receive(Request $request, string $vendorUid): Response
    {
        $webhook = new StoredWebhook();
        $webhook->forceFill([
            '_uid' => (string) Str::uuid(),
            'vendors__id' => Vendor::query()->where('_uid', $vendorUid)->firstOrFail()->_id,
            'headers' => json_encode($request->headers->all()),
            'payload' => $request->getContent(),
        ])->save();

        return response('done');
    }
}
