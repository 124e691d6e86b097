<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use Closure;
use Throwable;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\AfterTransactions;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * Effects that go out with no update: each is posted to the sidecar, after the transaction that is open, if one
 * is. What fails after a transaction is thrown by its commit, when all else that waits for that is done.
 */
final class Posts
{
    public function __construct(
        private Database $db,
        private AfterTransactions $transactions,
        private SidecarClient $client,
        private PendingMessages $messages,
        private Clock $clock
    ) {
    }

    /**
     * @param array<string, mixed> $effect
     *
     * @throws SidecarError if it was refused, or there is no answer
     */
    public function post(Vendor $vendor, array $effect): void
    {
        $this->afterCommit(fn () => $this->client->effects($vendor->uid, [$effect]));
    }

    /**
     * Nobody who has done something else is told of a broadcast that fails after their transaction: that is
     * reported.
     *
     * @param array<string, mixed> $effect
     *
     * @throws SidecarError if it was refused, or there is no answer, and no transaction is open
     */
    public function postBroadcast(Vendor $vendor, array $effect): void
    {
        $isNow = $this->db->connection()->transactionLevel() === 0;
        $this->afterCommit(function () use ($vendor, $effect, $isNow): void {
            try {
                $this->client->effects($vendor->uid, [$effect]);
            } catch (SidecarError $error) {
                $isNow ? throw $error : report($error);
            }
        });
    }

    /**
     * Post a message whose row is stored: it fails if it is refused.
     *
     * @param array<string, mixed> $effect
     *
     * @throws SidecarError if it was refused, or there is no answer
     */
    public function postMessage(Vendor $vendor, array $effect): void
    {
        $this->afterCommit(function () use ($vendor, $effect): void {
            try {
                $this->client->effects($vendor->uid, [$effect]);
            } catch (SidecarError $error) {
                if ($error->status !== null && $error->status >= 400 && $error->status < 500) {
                    $this->fail($effect['id'], $error->getMessage());
                }
                throw $error;
            }
        });
    }

    /** Where that fails too, the refusal is what is thrown. */
    private function fail(string $uid, string $reason): void
    {
        try {
            $now = Time::text($this->clock->nowMs());
            $this->db->transaction(fn () => $this->messages->fail($uid, $reason, $now));
        } catch (Throwable $error) {
            report($error);
        }
    }

    /** @param Closure(): void $post */
    private function afterCommit(Closure $post): void
    {
        $this->transactions->committed($this->db->connection(), $post);
    }
}
