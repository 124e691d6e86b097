<?php

declare(strict_types=1);

namespace App;

use App\Models\LoggedMessage;
use App\Models\QueuedMessage;

/** What the routine makes of a status; the sidecar hands it none. */
final class StatusUpdates
{
    private const UNHEALTHY = 131049;

    private const MAX_RETRIES = 5;

    public function __construct(private VendorSettings $settings)
    {
    }

    /** @param array<string, mixed> $status */
    public function apply(int $vendorId, array $status): void
    {
        $message = LoggedMessage::query()->where(['vendors__id' => $vendorId, 'wamid' => $status['id']])->first();
        if ($message === null) {
            return;
        }
        if ($message->status !== 'read') {
            $message->status = substr($status['status'], 0, 10);
            $message->messaged_at = $status['status'] === 'delivered' ? date('Y-m-d H:i:s') : $message->messaged_at;
            $message->save();
        }
        if ($message->campaigns__id !== null) {
            $this->settle($message, ($status['errors'][0]['code'] ?? null) === self::UNHEALTHY);
        }
    }

    /** Take the campaign's row out of the queue, or send it again later. */
    private function settle(LoggedMessage $message, bool $isUnhealthy): void
    {
        $queue = QueuedMessage::query()->where([
            'vendors__id' => $message->vendors__id,
            'campaigns__id' => $message->campaigns__id,
            'contacts__id' => $message->contacts__id,
        ]);
        $retries = (int) $queue->value('retries');
        $requeues = $this->settings->get($message->vendors__id, 'enable_requeue_healthy_error_msg') === '1';
        if ($isUnhealthy && $requeues && $retries < self::MAX_RETRIES) {
            $due = date('Y-m-d H:i:s', time() + 3600 * ($retries + 1));
            $queue->update(['status' => 1, 'retries' => $retries + 1, 'scheduled_at' => $due]);
            $message->delete();
        } else {
            $queue->delete();
        }
    }
}
