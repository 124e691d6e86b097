<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Collection;
use Illuminate\Database\Eloquent\Model;

/** A row of the queue, as the campaign cron reads it. */
final class QueuedMessage extends Model
{
    use OnTheTables;

    protected $table = 'whatsapp_message_queue';

    protected $primaryKey = '_id';

    protected $casts = ['__data' => 'array'];

    /** Read the oldest due rows, and set them to 3 one by one. */
    public static function takeDue(int $rows): Collection
    {
        $due = self::query()
            ->where('status', 1)
            ->where('scheduled_at', '<=', date('Y-m-d H:i:s'))
            ->orderBy('_id')
            ->limit($rows)
            ->get();
        $due->each(static fn (self $row) => $row->become(3));

        return $due;
    }

    /** @param array<string, mixed> $values further columns */
    public function become(int $status, array $values = [], ?string $errorStatus = null, ?string $error = null): void
    {
        if ($errorStatus !== null) {
            $response = ['error_message' => $error, 'error_status' => $errorStatus];
            $values['__data'] = ['process_response' => $response] + ($this->__data ?? []);
        }
        $this->forceFill(['status' => $status] + $values)->save();
    }
}
