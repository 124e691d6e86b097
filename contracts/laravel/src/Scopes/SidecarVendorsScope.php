<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Scopes;

use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Scope;
use WhatsappSidecar\Laravel\Store\SidecarVendors;

/** Hides the rows of vendors that are the sidecar's, so that the crons leave them alone. */
final class SidecarVendorsScope implements Scope
{
    public function __construct(private SidecarVendors $owned)
    {
    }

    public function apply(Builder $builder, Model $model): void
    {
        if ($this->owned->all()) {
            $builder->whereRaw('1 = 0');

            return;
        }
        $uids = $this->owned->uids();
        if ($uids !== []) {
            $column = $model->qualifyColumn('vendors__id');
            $vendors = fn ($query) => $query->select('_id')->from($this->owned->table())->whereIn('_uid', $uids);
            // Rows of no vendor stay the crons'.
            $builder->where(fn ($query) => $query->whereNull($column)->orWhereNotIn($column, $vendors));
        }
    }
}
