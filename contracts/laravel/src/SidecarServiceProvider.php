<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel;

use DateTimeZone;
use Illuminate\Cache\DatabaseStore;
use Illuminate\Contracts\Auth\Access\Gate;
use Illuminate\Contracts\Cache\Repository;
use Illuminate\Contracts\Container\Container;
use Illuminate\Contracts\Foundation\CachesConfiguration;
use Illuminate\Contracts\Http\Kernel as HttpKernel;
use Illuminate\Foundation\Http\Kernel as FoundationKernel;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use InvalidArgumentException;
use Psr\Log\LoggerInterface;
use WhatsappSidecar\Laravel\Access\ConsoleLink;
use WhatsappSidecar\Laravel\Access\UserName;
use WhatsappSidecar\Laravel\Bots\BotMatching;
use WhatsappSidecar\Laravel\Bots\LoopMatcher;
use WhatsappSidecar\Laravel\Cache\CachedBots;
use WhatsappSidecar\Laravel\Cache\CachedVendors;
use WhatsappSidecar\Laravel\Cache\ChangedModels;
use WhatsappSidecar\Laravel\Cache\KnownUsers;
use WhatsappSidecar\Laravel\Cache\StoresBeneath;
use WhatsappSidecar\Laravel\Cache\VersionedCache;
use WhatsappSidecar\Laravel\Client\CurlTransport;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\Transport;
use WhatsappSidecar\Laravel\Console\CheckCommand;
use WhatsappSidecar\Laravel\Console\ResumeCommand;
use WhatsappSidecar\Laravel\Console\StatusCommand;
use WhatsappSidecar\Laravel\Effects\Announcements;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Effects\Posts;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Engine\Engine;
use WhatsappSidecar\Laravel\Engine\HostRoutineEngine;
use WhatsappSidecar\Laravel\Engine\MarketingPreferences;
use WhatsappSidecar\Laravel\Engine\Question;
use WhatsappSidecar\Laravel\Http\Middleware\AnswerInMaintenance;
use WhatsappSidecar\Laravel\Http\Middleware\VerifySidecarSignature;
use WhatsappSidecar\Laravel\Media\Folder;
use WhatsappSidecar\Laravel\Signing\CacheNonces;
use WhatsappSidecar\Laravel\Signing\DatabaseNonces;
use WhatsappSidecar\Laravel\Signing\FileNonces;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Signing\Nonces;
use WhatsappSidecar\Laravel\Signing\Verifier;
use WhatsappSidecar\Laravel\Statuses\StatusGrace;
use WhatsappSidecar\Laravel\Store\BroadcastConnection;
use WhatsappSidecar\Laravel\Store\CronModels;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\OpenTransactions;
use WhatsappSidecar\Laravel\Store\OptOuts;
use WhatsappSidecar\Laravel\Store\Schema;
use WhatsappSidecar\Laravel\Store\SeenCrons;
use WhatsappSidecar\Laravel\Store\SidecarVendors;
use WhatsappSidecar\Laravel\Store\VendorDefaults;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\AfterTransactions;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Setting;
use WhatsappSidecar\Laravel\Support\Time;

/** Registers the package with the application. */
final class SidecarServiceProvider extends ServiceProvider
{
    private const CONFIG = __DIR__ . '/../config/whatsapp-sidecar.php';

    /** Cache drivers that keep one file per entry without cleaning up, or keep nothing. */
    private const NO_STORE = ['file', 'array', 'null'];

    public function register(): void
    {
        $this->mergeConfig();
        $this->registerSigning();
        $this->registerStore();
        $this->registerEffects();
        $this->registerCache();
        $this->registerDiagnosis();
        $this->app->bind(Sidecar::class);
        $this->app->singleton(Transport::class, CurlTransport::class);
        $this->app->singleton(SidecarClient::class, static fn (Container $app): SidecarClient => new SidecarClient(
            $app->make(Transport::class),
            $app->make(Signing\Signer::class),
            Setting::url(config('whatsapp-sidecar.url'), 'WHATSAPP_SIDECAR_URL'),
            (float) config('whatsapp-sidecar.timeout')
        ));
        $this->app->bind(HostRoutineEngine::class, static fn (Container $app): Engine => new HostRoutineEngine(
            $app,
            $app->make(Answering::class),
            $app->make(KeptEffects::class),
            self::hostRoutine(),
            (string) config('app.url')
        ));
        $this->app->bind(Engine::class, static function (Container $app): Engine {
            $engine = $app->make(config('whatsapp-sidecar.engine'));

            return $engine instanceof Engine ? $engine : throw new InvalidArgumentException(
                'whatsapp-sidecar.engine: ' . get_class($engine) . ' does not implement ' . Engine::class
            );
        });
        $this->app->bind(StatusGrace::class, static fn (): StatusGrace => new StatusGrace(
            (int) config('whatsapp-sidecar.status_grace'),
            (int) config('whatsapp-sidecar.status_retry_ms'),
            (int) config('whatsapp-sidecar.status_retry_max_ms')
        ));
    }

    public function boot(): void
    {
        if (! $this->app->routesAreCached()) {
            $middleware = (array) config('whatsapp-sidecar.middleware');
            Route::prefix('internal')
                ->middleware([VerifySidecarSignature::class, ...$middleware])
                ->group(__DIR__ . '/../routes/internal.php');
            if (Setting::flag(config('whatsapp-sidecar.fallback_route'), 'WHATSAPP_SIDECAR_FALLBACK_ROUTE')) {
                Route::middleware($middleware)->group(__DIR__ . '/../routes/webhook.php');
            }
            if (Setting::flag(config('whatsapp-sidecar.console.route'), 'WHATSAPP_SIDECAR_CONSOLE_ROUTE')) {
                Route::middleware((array) config('whatsapp-sidecar.console.middleware'))
                    ->group(__DIR__ . '/../routes/console.php');
            }
        }
        $this->callAfterResolving(HttpKernel::class, static function (object $kernel): void {
            if ($kernel instanceof FoundationKernel) {
                $kernel->prependMiddleware(AnswerInMaintenance::class);
            }
        });
        Hooks::register($this->app);
        if ($this->app->runningInConsole()) {
            $this->publishes([self::CONFIG => config_path('whatsapp-sidecar.php')], 'whatsapp-sidecar-config');
            $this->commands([StatusCommand::class, CheckCommand::class, ResumeCommand::class]);
        }
    }

    /** @return array{class: string, method: string, vendor: string, transaction: bool} */
    private static function hostRoutine(): array
    {
        $routine = config('whatsapp-sidecar.host_routine');

        return [
            'class' => (string) $routine['class'],
            'method' => (string) $routine['method'],
            'vendor' => (string) $routine['vendor'],
            'transaction' => Setting::flag($routine['transaction'] ?? false, 'WHATSAPP_SIDECAR_HOST_TRANSACTION'),
        ];
    }

    /** A published configuration, of an older version say, may lack names: take the package's. */
    private function mergeConfig(): void
    {
        $this->mergeConfigFrom(self::CONFIG, 'whatsapp-sidecar');
        if (! ($this->app instanceof CachesConfiguration && $this->app->configurationIsCached())) {
            $defaults = require self::CONFIG;
            foreach (['tables', 'settings', 'broadcast', 'console'] as $name) {
                config(["whatsapp-sidecar.{$name}" => config("whatsapp-sidecar.{$name}") + $defaults[$name]]);
            }
        }
    }

    private function registerSigning(): void
    {
        $this->app->singleton(Clock::class);
        $this->app->singleton(AfterTransactions::class);
        $this->app->singleton(Keys::class, static fn (): Keys => Keys::parse(config('whatsapp-sidecar.keys') ?? ''));
        $this->app->singleton(Nonces::class, function (Container $app): Nonces {
            $store = config('whatsapp-sidecar.replay_store');
            $keeping = array_diff(StoresBeneath::of($store), [null, ...self::NO_STORE]);
            if ($store === 'files' || ($store === null && $keeping === [])) {
                return new FileNonces(storage_path('framework/whatsapp-sidecar'), $app->make(Clock::class));
            }

            $cache = $app->make('cache')->store($store);
            $name = StoresBeneath::table($store);
            $table = $name === null ? null : $app->make('cache')->store($name)->getStore();
            if (! $table instanceof DatabaseStore) {
                return new CacheNonces($cache);
            }

            return new DatabaseNonces(
                $cache,
                $table,
                (string) config("cache.stores.{$name}.table"),
                $app->make(AfterTransactions::class),
                $app->make(Clock::class)
            );
        });
        $this->app->bind(Verifier::class, static fn (Container $app): Verifier => new Verifier(
            $app->make(Keys::class),
            $app->make(Nonces::class),
            $app->make(Clock::class),
            Setting::window()
        ));
        $this->app->bind(ConsoleLink::class, static fn (Container $app): ConsoleLink => new ConsoleLink(
            $app->make(Gate::class),
            new Signing\Signer($app->make(Keys::class), $app->make(Clock::class), Signing\Signature::CONSOLE),
            self::consoleBase(config('whatsapp-sidecar.console.url') ?? ''),
            $app->make(UserName::class)
        ));
        $this->app->bind(UserName::class, static fn (): UserName => new UserName(
            (array) config('whatsapp-sidecar.console.user_name')
        ));
    }

    private static function consoleBase(string $url): string
    {
        return $url === '' ? '' : Setting::url($url, 'WHATSAPP_SIDECAR_CONSOLE_URL');
    }

    private function registerStore(): void
    {
        Time::useZone(static fn (): DateTimeZone => Setting::zone(
            config('whatsapp-sidecar.timezone') ?: config('app.timezone') ?: 'UTC',
            'WHATSAPP_SIDECAR_TIMEZONE'
        ));
        $this->app->singleton(Database::class, static fn (Container $app): Database => new Database(
            $app->make('db'),
            config('whatsapp-sidecar.connection'),
            config('whatsapp-sidecar.isolation'),
            config('whatsapp-sidecar.tables')
        ));
        $this->app->bind(OptOuts::class, static fn (): OptOuts => new OptOuts(Setting::word(
            config('whatsapp-sidecar.campaign_opt_outs') ?? OptOuts::DEFAULT,
            OptOuts::WORDS,
            'WHATSAPP_SIDECAR_CAMPAIGN_OPT_OUTS'
        )));
        $this->app->bind(Vendors::class, static fn (Container $app): Vendors => new Vendors(
            $app->make(Database::class),
            $app->make('encrypter'),
            $app->make(Clock::class),
            config('whatsapp-sidecar.settings'),
            (int) config('whatsapp-sidecar.active_vendor_status'),
            new VendorDefaults(
                Setting::list(config('whatsapp-sidecar.app_secrets')),
                BroadcastConnection::broadcaster(
                    config('broadcasting.connections.' . config('whatsapp-sidecar.broadcast.connection'))
                )
            )
        ));
        $this->app->bind(Modes::class, static function (Container $app): Modes {
            $owned = new SidecarVendors($app, config('whatsapp-sidecar.vendors'), 'whatsapp-sidecar.vendors');
            $bots = new SidecarVendors($app, config('whatsapp-sidecar.bots'), 'whatsapp-sidecar.bots');

            return new Modes(
                $app->make(Database::class),
                ['webhooks' => $owned, 'campaigns' => $owned, 'bots' => $bots],
                (string) config('whatsapp-sidecar.settings.modes')
            );
        });
    }

    private function registerEffects(): void
    {
        $this->app->singleton(Effects::class);
        $this->app->singleton(Posts::class);
        $this->app->bind(OpenTransactions::class, static fn (Container $app): OpenTransactions => new OpenTransactions(
            $app->make('db')
        ));
        $this->app->bind(Folder::class, static fn (): Folder => new Folder(config('whatsapp-sidecar.media_dir')));
        $this->app->bind(Announcements::class, static fn (): Announcements => new Announcements(
            (string) config('whatsapp-sidecar.broadcast.channel'),
            (string) config('whatsapp-sidecar.broadcast.event')
        ));
        $history = static fn (): int => (int) config('whatsapp-sidecar.ai_history');
        $this->app->when(Question::class)->needs('$history')->give($history);
        $this->app->when(MarketingPreferences::class)->needs('$isOn')->give(static fn (): bool => Setting::flag(
            config('whatsapp-sidecar.marketing_preferences'),
            'WHATSAPP_SIDECAR_MARKETING_PREFERENCES'
        ));
        $expiresS = static fn (): int => (int) config('whatsapp-sidecar.ai_expires');
        $this->app->when(Question::class)->needs('$expiresS')->give($expiresS);
        $this->app->bind(Answering::class, static fn (): Answering => new Answering(
            Setting::list(config('whatsapp-sidecar.answered_types') ?? Answering::TYPES),
            Setting::flag(config('whatsapp-sidecar.answer_groups'), 'WHATSAPP_SIDECAR_ANSWER_GROUPS'),
            (int) config('whatsapp-sidecar.reply_expires')
        ));
    }

    private function registerDiagnosis(): void
    {
        $this->app->singleton(CronModels::class, static fn (Container $app): CronModels => new CronModels(
            array_map('array_values', (array) config('whatsapp-sidecar.scoped_models')),
            $app->make(Database::class)
        ));
        $this->app->singleton(SeenCrons::class, static fn (Container $app): SeenCrons => new SeenCrons(
            static fn (): Repository => app('cache')->store(config('whatsapp-sidecar.cache_store')),
            $app->make(AfterTransactions::class),
            $app->make(Clock::class),
            $app->make(LoggerInterface::class)
        ));
        $this->app->bind(Schema::class, static fn (Container $app): Schema => new Schema(
            $app->make(Database::class),
            array_keys((array) config('whatsapp-sidecar.tables'))
        ));
    }

    private function registerCache(): void
    {
        $this->app->singleton(VersionedCache::class, static fn (Container $app): VersionedCache => new VersionedCache(
            $app->make('cache')->store(config('whatsapp-sidecar.cache_store')),
            $app->make('encrypter'),
            (int) config('whatsapp-sidecar.cache_ttl'),
            $app->make(AfterTransactions::class),
            $app->make(Clock::class)
        ));
        $this->app->singleton(KnownUsers::class, static fn (Container $app): KnownUsers => new KnownUsers(
            $app->make('cache')->store(config('whatsapp-sidecar.cache_store')),
            $app->make(AfterTransactions::class),
            StoresBeneath::table(config('whatsapp-sidecar.cache_store')) !== null
        ));
        $this->app->singleton(CachedVendors::class);
        $this->app->singleton(CachedBots::class);
        $this->app->singleton(BotMatching::class, static fn (Container $app): BotMatching => new BotMatching(
            $app->make(SidecarClient::class)->within((float) config('whatsapp-sidecar.match_timeout')),
            $app->make(CachedBots::class),
            $app->make(LoopMatcher::class),
            $app->make(Clock::class),
            $app->make(LoggerInterface::class)
        ));
        $this->app->singleton(ChangedModels::class);
        $this->app->when(ChangedModels::class)->needs('$atOnce')->give(
            fn (): bool => $this->app->runningInConsole()
        );
    }
}
