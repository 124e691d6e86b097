<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A bot, as its form writes it. */
final class BotReply extends Model
{
    use OnTheTables;

    protected $table = 'bot_replies';

    protected $primaryKey = '_id';

    protected $guarded = [];
}
