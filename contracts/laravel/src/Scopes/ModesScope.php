<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Scopes;

use Illuminate\Contracts\Container\Container;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Scope;
use WhatsappSidecar\Laravel\Store\Modes;

/**
 * Hides the rows of vendors whose mode of a capability is "sidecar" or "held", so that the crons leave them
 * alone. The modes are read by the very statement that reads the rows, so none is older than that.
 */
final class ModesScope implements Scope
{
    public function __construct(private Container $container, private string $capability)
    {
    }

    public function apply(Builder $builder, Model $model): void
    {
        $column = $builder->getQuery()->getGrammar()->wrap($model->qualifyColumn('vendors__id'));
        // Made anew for each statement: a process may run for days.
        $builder->whereRaw(...$this->container->make(Modes::class)->ofCrons($this->capability, $column));
    }
}
