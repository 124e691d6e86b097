<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Contracts\Broadcasting\Broadcaster;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Events\TransactionCommitted;
use Illuminate\Database\Events\TransactionRolledBack;
use Illuminate\Foundation\Application;
use InvalidArgumentException;
use Throwable;
use WhatsappSidecar\Laravel\Broadcasting\SidecarBroadcaster;
use WhatsappSidecar\Laravel\Cache\ChangedModels;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Scopes\ModesScope;
use WhatsappSidecar\Laravel\Scopes\SeenCronScope;
use WhatsappSidecar\Laravel\Store\CronModels;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\SeenCrons;
use WhatsappSidecar\Laravel\Support\AfterTransactions;

/**
 * What of the package runs inside the application's own code: its broadcasts, its models' events, its crons'
 * statements and the ends of its transactions.
 *
 * Everything is resolved when it is needed, from the container of that moment: under Octane each request has
 * one of its own, and the container that was there at boot lives as long as the process.
 */
final class Hooks
{
    private const DRIVER = 'whatsapp-sidecar';

    public static function register(Application $app): void
    {
        self::extendBroadcasting($app);
        self::watchTransactions($app);
        self::watchModels($app->make('events'));
        if ($app->runningInConsole()) {
            self::scopeModels();
        }
    }

    /** Add the broadcast driver "whatsapp-sidecar", and a connection of that name. */
    private static function extendBroadcasting(Application $app): void
    {
        if (config('broadcasting') !== null && config('broadcasting.connections.' . self::DRIVER) === null) {
            config(['broadcasting.connections.' . self::DRIVER => ['driver' => self::DRIVER]]);
        }
        // Laravel 11 has another variable than those before: the other one would be ignored in silence.
        if (config('whatsapp-sidecar.broadcast.default') === self::DRIVER) {
            config(['broadcasting.default' => self::DRIVER]);
        }
        $extend = static function (BroadcastManager $manager): void {
            $manager->extend(self::DRIVER, static fn (): Broadcaster => new SidecarBroadcaster(
                static fn (): Effects => app(Effects::class),
                static function () use ($manager): ?Broadcaster {
                    $name = config('whatsapp-sidecar.broadcast.connection');

                    return config("broadcasting.connections.{$name}") === null ? null : $manager->connection($name);
                },
                (string) config('whatsapp-sidecar.broadcast.channel')
            ));
        };
        $app->afterResolving(BroadcastManager::class, $extend);
        if ($app->resolved(BroadcastManager::class)) {
            $extend($app->make(BroadcastManager::class));
        }
    }

    /** Have what waits for a transaction's end follow it, or the request's. */
    private static function watchTransactions(Application $app): void
    {
        $ended = static function (): void {
            if (app()->resolved(AfterTransactions::class)) {
                app(AfterTransactions::class)->ended();
            }
        };
        $app->make('events')->listen(TransactionCommitted::class, $ended);
        $app->make('events')->listen(TransactionRolledBack::class, static function () use ($ended): void {
            if (app()->resolved(Effects::class)) {
                app(Effects::class)->rolledBack();
            }
            $ended();
        });
        $app->terminating(static function () use ($ended): void {
            try {
                $ended();
            } catch (Throwable $error) {
                report($error);
            }
            // Built when a model has changed, and not with every request.
            if (app()->resolved(ChangedModels::class)) {
                app(ChangedModels::class)->tell();
            }
        });
    }

    /** Watch the models of bots and settings for changes. */
    private static function watchModels(Dispatcher $events): void
    {
        foreach ((array) config('whatsapp-sidecar.watched_models') as $scope => $classes) {
            foreach ($classes as $class) {
                $class = ltrim($class, '\\');
                $events->listen(
                    ["eloquent.saved: {$class}", "eloquent.deleted: {$class}"],
                    static fn (Model $model) => app(ChangedModels::class)->changed($scope, $model)
                );
            }
        }
    }

    /** Have the crons' models skip vendors that are the sidecar's. */
    private static function scopeModels(): void
    {
        foreach ((array) config('whatsapp-sidecar.scoped_models') as $capability => $models) {
            if (! in_array($capability, Modes::CAPABILITIES, true)) {
                throw new InvalidArgumentException("whatsapp-sidecar.scoped_models: there is no '{$capability}'; list"
                    . " the crons' models under " . implode(', ', Modes::CAPABILITIES));
            }
            foreach (array_filter($models, 'class_exists') as $model) {
                $model::addGlobalScope(new ModesScope(static fn (): Modes => app(Modes::class), $capability));
            }
        }
        $seen = static fn (): SeenCrons => app(SeenCrons::class);
        foreach (CronModels::TABLES as $table) {
            foreach (app(CronModels::class)->of($table) as $model) {
                $model::addGlobalScope(new SeenCronScope($seen, $table));
            }
        }
    }
}
