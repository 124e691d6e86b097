<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use Illuminate\Contracts\Cache\Repository;
use Throwable;

/**
 * Which contact a user id was found with, where no index tells. What is said here has to be looked up
 * before it is believed.
 */
final class KnownUsers
{
    private const TTL_S = 2592000;

    public function __construct(private Repository $store)
    {
    }

    /** Return the contact's `_id`, if it is known. */
    public function find(int $vendorId, string $userId): ?int
    {
        try {
            $id = $this->store->get(self::key($vendorId, $userId));
        } catch (Throwable $error) {
            report($error);
            $id = null;
        }

        return is_numeric($id) ? (int) $id : null;
    }

    public function keep(int $vendorId, string $userId, int $contactId): void
    {
        try {
            $this->store->put(self::key($vendorId, $userId), $contactId, self::TTL_S);
        } catch (Throwable $error) {
            // The contacts are read again, then.
            report($error);
        }
    }

    private static function key(int $vendorId, string $userId): string
    {
        return "whatsapp-sidecar:user:{$vendorId}:" . sha1($userId);
    }
}
