<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Scopes;

use Closure;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Scope;
use WhatsappSidecar\Laravel\Store\Modes;

/**
 * Hides the rows of vendors whose mode of a capability is "sidecar" or "held", so that the crons leave them
 * alone. The modes are read by the very statement that reads the rows, so none is older than that; and it
 * reads from the connection for writes, for a replica may be behind.
 */
final class ModesScope implements Scope
{
    /** @param Closure(): Modes $modes called for each statement: a process may run for days */
    public function __construct(private Closure $modes, private string $capability)
    {
    }

    public function apply(Builder $builder, Model $model): void
    {
        $query = $builder->getQuery();
        $column = $query->getGrammar()->wrap($model->qualifyColumn('vendors__id'));
        $builder->whereRaw(...($this->modes)()->ofCrons($this->capability, $column));
        $query->useWritePdo();
    }
}
