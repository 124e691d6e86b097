<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Bots;

use JsonException;
use Psr\Log\LoggerInterface;
use WhatsappSidecar\Laravel\Cache\CachedBots;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Support\Clock;

/** Finds the bots that answer a message: the sidecar does, or the loop where it does not answer in time. */
final class BotMatching
{
    /** Whether it was said since the sidecar last answered: a process may run for days. */
    private bool $logged = false;

    /** @param SidecarClient $client one that waits a short time only */
    public function __construct(
        private SidecarClient $client,
        private CachedBots $bots,
        private LoopMatcher $matcher,
        private Clock $clock,
        private LoggerInterface $log
    ) {
    }

    /**
     * Return the bots that answer, in order of priority.
     *
     * @param int|string $vendor `_uid` or `_id`
     * @param array<string, mixed> $facts incoming_24h (without it no welcome bot matches),
     *     disable_reply_bot, quick_reply
     *
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>
     */
    public function match(string $message, int|string $vendor, array $facts = []): array
    {
        try {
            $matches = $this->client->matchBot($vendor, $message, $facts)['matches'];
            $this->logged = false;

            return $matches;
        } catch (SidecarError | JsonException $error) {
            if (! $this->logged) {
                $this->logged = true;
                $this->log->warning("Bots are matched by PHP: {$error->getMessage()}");
            }
        }
        $matches = $this->matcher->match($this->bots->of($vendor), $message, intdiv($this->clock->nowMs(), 1000));

        return $this->matcher->admitted($matches, $facts);
    }
}
