<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use Illuminate\Cache\Repository;
use Throwable;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Support\AfterTransactions;

/**
 * Which contact a user id was found with, where no index tells. What is said here has to be looked up
 * before it is believed.
 */
final class KnownUsers
{
    private const TTL_S = 2592000;

    /** @param bool $isTable whether the store is one, or may write to one */
    public function __construct(
        private Repository $store,
        private AfterTransactions $transactions,
        private bool $isTable
    ) {
    }

    /** Return the contact's `_id`, if it is known. */
    public function find(int $vendorId, string $userId): ?int
    {
        try {
            $id = $this->store->get(self::key($vendorId, $userId));
        } catch (Throwable $error) {
            // The transaction that is open may be undone: whoever has begun it must know.
            if (Conflict::is($error)) {
                throw $error;
            }
            report($error);
            $id = null;
        }

        return is_numeric($id) ? (int) $id : null;
    }

    /** If it fails, the contacts are read again. */
    public function keep(int $vendorId, string $userId, int $contactId): void
    {
        $key = self::key($vendorId, $userId);
        $this->transactions->whenNone("{$key} is not kept", fn () => $this->write($key, $contactId));
    }

    private function write(string $key, int $contactId): void
    {
        // A table deletes what has expired when it is read, in whoever's transaction that is.
        if ($this->isTable) {
            $this->store->forever($key, $contactId);
        } else {
            $this->store->put($key, $contactId, self::TTL_S);
        }
    }

    private static function key(int $vendorId, string $userId): string
    {
        return "whatsapp-sidecar:user:{$vendorId}:" . sha1($userId);
    }
}
