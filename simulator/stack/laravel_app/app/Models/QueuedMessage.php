<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A row of the queue, as the campaign cron reads it. */
final class QueuedMessage extends Model
{
    protected $table = 'whatsapp_message_queue';

    protected $primaryKey = '_id';

    protected $casts = ['__data' => 'array'];
}
