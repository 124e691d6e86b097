<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use Closure;
use Illuminate\Cache\Repository;
use Illuminate\Contracts\Encryption\DecryptException;
use Illuminate\Contracts\Encryption\Encrypter;
use JsonException;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Support\AfterTransactions;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * What is known of vendors, in Laravel's cache, encrypted, for a limited time.
 *
 * Each value names the version that it is of, which a change replaces. So a reader who has read the tables
 * before the change and stores what it read after it stores what nobody takes.
 *
 * In a transaction, the tables are read: what that sees may be older than the cache, or never committed.
 */
final class VersionedCache
{
    /** Values that this process has decrypted, at most so many. */
    private const REMEMBERED = 50;

    /** How often a version is replaced that another process writes at the same moment. */
    private const ATTEMPTS = 3;

    private const PAUSE_MS = 10;

    /** @var array<string, array{version: string, until: int, value: array<mixed>}> by key */
    private array $remembered = [];

    /** @var array<string, true> names of versions that are to be replaced */
    private array $stale = [];

    public function __construct(
        private Repository $store,
        private Encrypter $encrypter,
        private int $ttlS,
        private AfterTransactions $transactions,
        private Clock $clock
    ) {
    }

    /**
     * Return what is cached, or else what $load returns.
     *
     * @param Closure(): array<mixed> $load
     *
     * @return array<mixed>
     */
    public function read(string $what, int $vendorId, Closure $load): array
    {
        if ($this->transactions->isOpen()) {
            return $load();
        }
        $key = "whatsapp-sidecar:{$what}:{$vendorId}";
        $names = [self::version($what, 'all'), self::version($what, (string) $vendorId)];
        $found = $this->store->many([...$names, $key]);
        $version = "{$found[$names[0]]}:{$found[$names[1]]}";
        $entry = $this->valid($this->remembered[$key] ?? null, $version)
            ?? $this->valid($this->opened($found[$key]), $version);
        if ($entry === null) {
            $until = $this->clock->nowMs() + $this->ttlS * 1000;
            $entry = ['version' => $version, 'until' => $until, 'value' => $load()];
            $this->store->put($key, $this->encrypter->encrypt(Json::dump($entry), false), $this->ttlS);
        }
        if (count($this->remembered) >= self::REMEMBERED) {
            $this->remembered = [];
        }

        return ($this->remembered[$key] = $entry)['value'];
    }

    /**
     * Have nobody take what is cached so far: from now on, or once the transaction that is open has ended.
     *
     * @param list<int>|null $vendorIds null for every vendor
     */
    public function drop(string $what, ?array $vendorIds): void
    {
        foreach ($vendorIds ?? ['all'] as $whose) {
            $this->stale[self::version($what, (string) $whose)] = true;
        }
        $this->transactions->whenNone(
            "what PHP has cached of vendors may be old for {$this->ttlS} s",
            fn () => $this->replaceVersions()
        );
    }

    private function replaceVersions(): void
    {
        foreach (array_keys($this->stale) as $name) {
            retry(
                self::ATTEMPTS,
                fn (): bool => $this->store->forever($name, bin2hex(random_bytes(8))),
                self::PAUSE_MS,
                [Conflict::class, 'is']
            );
            unset($this->stale[$name]);
        }
    }

    private static function version(string $what, string $whose): string
    {
        return "whatsapp-sidecar:{$what}:version:{$whose}";
    }

    /**
     * @param array<mixed>|null $entry
     *
     * @return array{version: string, until: int, value: array<mixed>}|null
     */
    private function valid(?array $entry, string $version): ?array
    {
        return ($entry['version'] ?? null) === $version && ($entry['until'] ?? 0) > $this->clock->nowMs()
            && is_array($entry['value'] ?? null) ? $entry : null;
    }

    /** @return array<mixed>|null */
    private function opened(mixed $text): ?array
    {
        try {
            $plain = is_string($text) ? $this->encrypter->decrypt($text, false) : 'null';
            $value = json_decode($plain, true, 512, JSON_THROW_ON_ERROR);
        } catch (DecryptException | JsonException) {
            // The application has another key now, or somebody else has written there.
            return null;
        }

        return is_array($value) ? $value : null;
    }
}
