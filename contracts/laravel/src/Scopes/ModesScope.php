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
 *
 * A statement that names a contact sees that contact's rows, whoever sends: it comes of a status that the
 * webhook routine handles, and ends a row that was sent. Crons pick what is due, whosoever it is.
 */
final class ModesScope implements Scope
{
    /** @param Closure(): Modes $modes called for each statement: a process may run for days */
    public function __construct(private Closure $modes, private string $capability)
    {
    }

    public function apply(Builder $builder, Model $model): void
    {
        $query = $builder->getQuery()->useWritePdo();
        if (self::names(['contacts__id', $model->qualifyColumn('contacts__id')], $query->wheres)) {
            return;
        }
        $column = $query->getGrammar()->wrap($model->qualifyColumn('vendors__id'));
        $builder->whereRaw(...($this->modes)()->ofCrons($this->capability, $column));
    }

    /**
     * Tell whether a query asks for one value of a column.
     *
     * @param list<string> $column the ways to write it
     * @param list<array<string, mixed>> $wheres conditions as Laravel's query builder keeps them
     */
    private static function names(array $column, array $wheres): bool
    {
        $names = false;
        foreach ($wheres as $where) {
            if (str_starts_with($where['boolean'], 'or')) {
                return false;
            }
            $names = $names || ($where['boolean'] === 'and' && match ($where['type']) {
                'Nested' => self::names($column, $where['query']->wheres),
                'Basic' => $where['operator'] === '=' && in_array($where['column'], $column, true),
                default => false,
            });
        }

        return $names;
    }
}
