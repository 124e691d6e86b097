<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Scopes;

use Closure;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Scope;
use WhatsappSidecar\Laravel\Store\SeenCrons;

/** Changes no query: notes that somebody on the command line, a cron that is, reads the table. */
final class SeenCronScope implements Scope
{
    /**
     * @param Closure(): SeenCrons $seen
     * @param string $table its name in config('whatsapp-sidecar.tables')
     */
    public function __construct(private Closure $seen, private string $table)
    {
    }

    public function apply(Builder $builder, Model $model): void
    {
        ($this->seen)()->saw($this->table);
    }
}
