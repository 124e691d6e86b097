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
 * A statement that names a campaign and a contact, and no status, sees that row whoever sends: it comes of a
 * status that the webhook routine handles, and ends a row that was sent. Crons pick what is queued.
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
        if (array_diff(['campaigns__id', 'contacts__id'], self::named($model, $query->wheres) ?? []) === []) {
            return;
        }
        $column = $query->getGrammar()->wrap($model->qualifyColumn('vendors__id'));
        $builder->whereRaw(...($this->modes)()->ofCrons($this->capability, $column));
    }

    /**
     * Return the columns of which a query asks for one value; null if it asks for a status, or has alternatives.
     *
     * @param list<array<string, mixed>> $wheres conditions as Laravel's query builder keeps them
     *
     * @return list<string>|null
     */
    private static function named(Model $model, array $wheres): ?array
    {
        $named = [];
        foreach ($wheres as $where) {
            // What is written as SQL may ask for anything.
            $isNested = $where['type'] === 'Nested';
            $column = is_string($where['column'] ?? null) ? self::unqualified($model, $where['column']) : '';
            $found = $isNested ? self::named($model, $where['query']->wheres) : [$column];
            if ($where['boolean'] !== 'and' || $found === null || $column === 'status' || $where['type'] === 'raw') {
                return null;
            }
            if ($isNested || ($where['type'] === 'Basic' && $where['operator'] === '=')) {
                $named = [...$named, ...$found];
            }
        }

        return $named;
    }

    private static function unqualified(Model $model, string $column): string
    {
        $table = $model->getTable() . '.';

        return str_starts_with($column, $table) ? substr($column, strlen($table)) : $column;
    }
}
