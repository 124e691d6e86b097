<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A vendor. */
final class Vendor extends Model
{
    use OnTheTables;

    protected $table = 'vendors';

    protected $primaryKey = '_id';

    protected $guarded = [];
}
