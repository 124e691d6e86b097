<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use Closure;
use Illuminate\Cache\Repository;
use Illuminate\Contracts\Encryption\DecryptException;
use Illuminate\Contracts\Encryption\Encrypter;
use JsonException;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * What is known of vendors, in Laravel's cache, encrypted, for a limited time.
 *
 * Each value stands under a version that a change replaces. So a reader who has read the tables before
 * the change and stores what it read after it stores that where nobody looks.
 */
final class VersionedCache
{
    /** Values that this process has decrypted, at most so many. */
    private const REMEMBERED = 50;

    /** @var array<string, array<mixed>> by key, which names the version */
    private array $remembered = [];

    public function __construct(private Repository $store, private Encrypter $encrypter, private int $ttlS)
    {
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
        $key = $this->key($what, $vendorId);
        $value = $this->remembered[$key] ?? $this->opened($this->store->get($key));
        if ($value === null) {
            $value = $load();
            $this->store->put($key, $this->encrypter->encrypt(Json::dump($value), false), $this->ttlS);
        }
        if (count($this->remembered) >= self::REMEMBERED) {
            $this->remembered = [];
        }

        return $this->remembered[$key] = $value;
    }

    /** @param list<int>|null $vendorIds null for every vendor */
    public function drop(string $what, ?array $vendorIds): void
    {
        $names = $vendorIds === null
            ? [self::version($what, 'all')]
            : array_map(static fn (int $id): string => self::version($what, (string) $id), $vendorIds);
        foreach ($names as $name) {
            $this->store->forever($name, bin2hex(random_bytes(8)));
        }
    }

    private function key(string $what, int $vendorId): string
    {
        $versions = $this->store->many([self::version($what, 'all'), self::version($what, (string) $vendorId)]);

        return "whatsapp-sidecar:{$what}:{$vendorId}:" . implode(':', array_map('strval', array_values($versions)));
    }

    private static function version(string $what, string $whose): string
    {
        return "whatsapp-sidecar:{$what}:version:{$whose}";
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
