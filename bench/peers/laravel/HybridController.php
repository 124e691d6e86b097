<?php

declare(strict_types=1);

namespace Peers;

use App\CampaignSends;
use App\Models\QueuedMessage;
use App\Models\Vendor;
use App\WebhookRoutine;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Support\Facades\DB;
use WhatsappSidecar\Laravel\Store\Vendors;

/** What the application does for a Node hybrid: one webhook, or one message's outcome, to a request. */
final class HybridController
{
    public function processWebhook(Request $request, string $vendorUid, WebhookRoutine $routine): Response
    {
        $routine->processWebhookRequest($request, Vendor::query()->where('_uid', $vendorUid)->value('_id'));

        return response('done');
    }

    /** Claim due rows at once, as the hybrid can and the cron does not. */
    public function dueMessages(Request $request, Vendors $vendors): JsonResponse
    {
        $rows = DB::transaction(static function () use ($request) {
            $rows = QueuedMessage::query()->where('status', 1)->where('scheduled_at', '<=', date('Y-m-d H:i:s'))
                ->orderBy('_id')->limit((int) $request->input('rows'))->lockForUpdate()->get();
            QueuedMessage::query()->whereIn('_id', $rows->pluck('_id'))->update(['status' => 3]);

            return $rows;
        });
        $settings = [];
        foreach ($vendors->loadByIds($rows->pluck('vendors__id')->unique()->all()) as $vendor) {
            $settings[$vendor->id] = $vendor;
        }

        return response()->json($rows->map(static function (QueuedMessage $row) use ($settings): array {
            $vendor = $settings[$row->vendors__id];
            $number = CampaignSends::number($row, $vendor);
            $url = rtrim(config('services.whatsapp.url'), '/') . "/{$number}/messages";
            $message = ['messaging_product' => 'whatsapp', 'recipient_type' => 'individual'];

            return [
                'queueUid' => $row->_uid,
                'token' => (string) $vendor->setting('access_token'),
                'url' => $url,
                'message' => $message + CampaignSends::message($row),
            ];
        }));
    }

    public function updateMessageStatus(Request $request, CampaignSends $sends, Vendors $vendors): Response
    {
        $row = QueuedMessage::query()->where('_uid', $request->input('queueUid'))->firstOrFail();
        $number = $row->__data['campaign_data']['fromPhoneNumberId'] ?? null;
        foreach ($number === null ? $vendors->loadByIds([$row->vendors__id]) : [] as $vendor) {
            $number = CampaignSends::number($row, $vendor);
        }
        $sends->settle($row, (string) $number, (int) $request->input('status'), (array) $request->input('answer'));

        return response('done');
    }
}
