<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A message in the log, from a customer or to one. */
final class LoggedMessage extends Model
{
    use OnTheTables;

    protected $table = 'whatsapp_message_logs';

    protected $primaryKey = '_id';

    protected $guarded = [];

    protected $casts = ['__data' => 'array'];
}
