<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A webhook that PHP's route has stored, as the webhook cron reads it. */
final class StoredWebhook extends Model
{
    use OnTheTables;

    protected $table = 'whatsapp_webhook_queue';

    protected $primaryKey = '_id';
}
