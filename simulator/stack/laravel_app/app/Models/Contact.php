<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A vendor's contact. */
final class Contact extends Model
{
    use OnTheTables;

    protected $table = 'contacts';

    protected $primaryKey = '_id';

    protected $guarded = [];

    protected $casts = ['__data' => 'array'];

    /** Return where a message to it goes: a number, or the user id of who hides it. */
    public function address(): ?string
    {
        return $this->wa_id ?? $this->__data['user_id'] ?? null;
    }
}
