<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Broadcasting;

use Closure;
use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Contracts\Broadcasting\Broadcaster as BroadcasterContract;
use Illuminate\Support\Arr;
use LogicException;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Effects\Effects;

/**
 * Laravel's broadcast driver "whatsapp-sidecar": events leave as effects, so that nobody waits for the broadcast
 * server. Who may listen is decided by the connection that it stands for, and what belongs to no vendor
 * is broadcast by that.
 */
final class SidecarBroadcaster extends Broadcaster
{
    /** Most channels of one event (Pusher's HTTP API). */
    private const MAX_CHANNELS = 100;

    private const VENDOR = '{vendorUid}';

    private ?BroadcasterContract $inner = null;

    /** @var list<array{string, list<mixed>}> what the application has told a broadcaster, in its order */
    private array $told = [];

    /**
     * @param Closure(): Effects $effects the request's: this broadcaster may live longer
     * @param Closure(): ?BroadcasterContract $connection the one that it stands for; null if there is none
     * @param string $vendorChannel a vendor's channel, with {vendorUid} in it
     */
    public function __construct(private Closure $effects, private Closure $connection, private string $vendorChannel)
    {
    }

    /** @inheritDoc */
    public function broadcast(array $channels, $event, array $payload = [])
    {
        $socket = Arr::pull($payload, 'socket');
        $byVendor = [];
        foreach ($this->formatChannels($channels) as $channel) {
            $byVendor[$this->vendorOf($channel) ?? ''][] = $channel;
        }
        foreach ($byVendor as $vendorUid => $names) {
            if ($vendorUid === '') {
                $this->inner("of the channel {$names[0]}, which is no vendor's (whatsapp-sidecar.broadcast.channel)")
                    ->broadcast($names, $event, $socket === null ? $payload : $payload + ['socket' => $socket]);
                continue;
            }
            foreach (array_chunk($names, self::MAX_CHANNELS) as $some) {
                try {
                    ($this->effects)()->broadcast((string) $vendorUid, $some, $event, $payload, $socket);
                } catch (SidecarError $error) {
                    throw new BroadcastException($error->getMessage(), 0, $error);
                }
            }
        }
    }

    /** @inheritDoc */
    public function auth($request)
    {
        return $this->inner('to ask who may listen')->auth($request);
    }

    /** @inheritDoc */
    public function validAuthenticationResponse($request, $result)
    {
        return $this->inner('to answer who may listen')->validAuthenticationResponse($request, $result);
    }

    /** @inheritDoc */
    public function channel($channel, $callback, $options = [])
    {
        $this->tell('channel', [$channel, $callback, $options]);

        return parent::channel($channel, $callback, $options);
    }

    /** Laravel 9 and newer. */
    public function resolveAuthenticatedUser($request)
    {
        return $this->inner('to ask who it is')->resolveAuthenticatedUser($request); // @phpstan-ignore-line
    }

    /** Laravel 9 and newer. */
    public function resolveAuthenticatedUserUsing(Closure $callback)
    {
        $this->tell('resolveAuthenticatedUserUsing', [$callback]);
    }

    /** @param list<mixed> $arguments */
    private function tell(string $method, array $arguments): void
    {
        $this->told[] = [$method, $arguments];
        if ($this->inner !== null && method_exists($this->inner, $method)) {
            $this->inner->{$method}(...$arguments);
        }
    }

    /** Return the connection that it stands for, told all that the application has told this one. */
    private function inner(string $why): BroadcasterContract
    {
        if ($this->inner === null) {
            $this->inner = ($this->connection)() ?? throw new LogicException(
                "there is no broadcast connection {$why}; name one as whatsapp-sidecar.broadcast.connection"
            );
            foreach ($this->told as [$method, $arguments]) {
                if (method_exists($this->inner, $method)) {
                    $this->inner->{$method}(...$arguments);
                }
            }
        }

        return $this->inner;
    }

    private function vendorOf(string $channel): ?string
    {
        $current = ($this->effects)()->current();
        if ($current !== null) {
            return $current->uid;
        }
        [$before, $after] = explode(self::VENDOR, $this->vendorChannel, 2) + [1 => ''];
        $pattern = '/\A' . preg_quote($before, '/') . '([^.]+)' . preg_quote($after, '/') . '\z/';

        return preg_match($pattern, $channel, $found) === 1 ? $found[1] : null;
    }
}
