<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

/** A vendor's setting, as its form writes it. */
final class VendorSetting extends Model
{
    use OnTheTables;

    protected $table = 'vendor_settings';

    protected $primaryKey = '_id';

    protected $guarded = [];
}
