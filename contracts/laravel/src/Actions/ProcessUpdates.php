<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use Illuminate\Contracts\Events\Dispatcher;
use Throwable;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Engine\Engine;
use WhatsappSidecar\Laravel\Engine\StoresOnce;
use WhatsappSidecar\Laravel\Events\UpdateTaken;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Statuses\ApplyStatuses;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Applies a batch of updates, and answers for each. Statuses are applied together, after the others,
 * whose order is kept. A fault in one update has that one alone come again.
 */
final class ProcessUpdates
{
    private const MAX_UPDATES = 1000;

    private const FIELDS = [
        'id', 'vendor_uid', 'kind', 'received_at', 'attempt', 'payload', 'lower_statuses', 'bots', 'order',
    ];

    private const KINDS = ['message', 'echo', 'status', 'change'];

    /** So long a message waits for another call that handles it; then it comes again. */
    private const WAIT_S = 5;

    private const LOGGED = "SELECT vendors__id, wamid, JSON_EXTRACT(__data, '$.sidecar') AS sidecar"
        . ' FROM {logs} WHERE vendors__id IN (%s) AND wamid IN (%s)';

    public function __construct(
        private Database $db,
        private Vendors $vendors,
        private Engine $engine,
        private ApplyStatuses $statuses,
        private Dispatcher $events,
        private Effects $effects,
        private KeptEffects $kept
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $ids = [];
        $updates = [];
        foreach (Input::ofBody($body, ['updates'])->parts('updates', self::FIELDS, self::MAX_UPDATES) as $input) {
            $ids[] = $input->text('id');
            $updates[] = self::update($input);
        }
        $outcomes = $this->process($updates);

        return ['results' => array_map(
            static fn (string $id, Outcome $outcome): array => ['id' => $id] + $outcome->json(),
            $ids,
            $outcomes
        )];
    }

    /**
     * @param list<Update|null> $updates null for one whose payload does not hold what it should
     *
     * @return list<Outcome> in the same order
     */
    public function process(array $updates): array
    {
        $known = array_values(array_filter($updates));
        $vendors = $this->vendors->load(array_column($known, 'vendorUid'));
        $logged = $this->logged($known, $vendors);
        $outcomes = [];
        $statuses = [];
        $stuck = [];
        foreach ($updates as $position => $update) {
            $vendor = $update === null ? null : $vendors[$update->vendorUid] ?? null;
            $outcomes[$position] = $this->refused($update, $vendor)
                ?? $this->behind($update, $stuck)
                ?? $this->announced($vendor, $update);
            if ($outcomes[$position] === null && $update->part->kind === 'status') {
                $statuses[$position] = [$vendor, $update];
            } elseif ($outcomes[$position] === null) {
                $outcomes[$position] = $this->handled($vendor, $update, $logged);
            }
            if ($update?->order !== null && $outcomes[$position]?->result === 'retry') {
                $stuck[$update->order] = true;
            }
        }

        return array_values(array_replace($outcomes, $this->statuses->apply($statuses)));
    }

    private static function update(Input $input): ?Update
    {
        $kind = $input->oneOf('kind', self::KINDS);
        $payload = $input->object('payload');
        $vendorUid = $input->text('vendor_uid');
        $receivedAt = $input->integer('received_at');
        $attempt = $input->integer('attempt', 1);
        $lower = $input->objects('lower_statuses');
        $id = $input->text('id');
        $bots = self::bots($input->open('bots'));
        $order = $input->optionalText('order');
        $part = Envelope::split($payload)[0] ?? null;

        return $part === null || $part->kind !== $kind
            ? null
            : new Update($vendorUid, $part, $payload, $lower, $receivedAt, $attempt, $id, $bots, $order);
    }

    /** @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>|null */
    private static function bots(?Input $matched): ?array
    {
        return $matched === null ? null : array_map(static fn (Input $match): array => [
            'bot_uid' => $match->text('bot_uid'),
            'trigger_type' => $match->text('trigger_type'),
            'trigger' => $match->optionalText('trigger'),
        ], $matched->openParts('matches', PHP_INT_MAX));
    }

    private function refused(?Update $update, ?Vendor $vendor): ?Outcome
    {
        return match (true) {
            $update === null => Outcome::ignored('payload_without_update'),
            $vendor === null => Outcome::ignored('vendor_unknown'),
            ! $vendor->active => Outcome::ignored('vendor_inactive'),
            default => null,
        };
    }

    /** @param array<string, true> $stuck what an earlier update of this request is to come again for */
    private function behind(Update $update, array $stuck): ?Outcome
    {
        return $update->order !== null && isset($stuck[$update->order])
            ? Outcome::retry('behind_another')
            : null;
    }

    private function announced(Vendor $vendor, Update $update): ?Outcome
    {
        try {
            $this->events->dispatch(new UpdateTaken($vendor, $update));
        } catch (Throwable $error) {
            report($error);

            return Outcome::failed($error);
        }

        return null;
    }

    /** @param array<string, list<mixed>> $logged */
    private function handled(Vendor $vendor, Update $update, array &$logged): Outcome
    {
        $wamid = $update->part->kind === 'change' ? null : $update->part->wamid();
        $key = "{$vendor->id} {$wamid}";
        $once = $wamid === null || $this->engine instanceof StoresOnce;
        // A message that another call has stored this moment has no effects yet; that call may still keep some.
        if ($wamid !== null && isset($logged[$key]) && ($once || $update->isRaw() || $logged[$key] !== [])) {
            return Outcome::done($update->isRaw() ? [] : $logged[$key]);
        }
        try {
            $outcome = $once
                ? $this->effectful($vendor, $update)
                : $this->alone($vendor, $update, $key);
        } catch (Throwable $error) {
            report($error);
            $outcome = Outcome::failed($error);
        }
        if ($wamid !== null && $outcome->result === 'done') {
            $logged[$key] = $outcome->effects;
        }

        return $outcome;
    }

    /** Handle a message that another call, which the sidecar has given up on, may be handling too. */
    private function alone(Vendor $vendor, Update $update, string $key): Outcome
    {
        return $this->db->alone($key, self::WAIT_S, function () use ($vendor, $update, $key): Outcome {
            $logged = $this->logged([$update], [$vendor]);

            return isset($logged[$key])
                ? Outcome::done($update->isRaw() ? [] : $logged[$key])
                : $this->effectful($vendor, $update);
        }) ?? Outcome::retry('another_call_handles_it');
    }

    private function effectful(Vendor $vendor, Update $update): Outcome
    {
        return $this->effects->during($vendor, $update, fn (): Outcome => $this->applied($vendor, $update));
    }

    private function applied(Vendor $vendor, Update $update): Outcome
    {
        $connection = $this->db->connection();
        $level = $connection->transactionLevel();
        try {
            $outcome = $this->engine->apply($vendor, $update);
        } catch (Throwable $error) {
            report($error);
            $outcome = Outcome::failed($error);
        }
        if ($connection->transactionLevel() > $level) {
            $connection->rollBack($level);
            if ($outcome->result === 'done') {
                $outcome = Outcome::retry('error: the routine left a transaction open, which was rolled back');
            }
        }

        return $outcome;
    }

    /**
     * Return which of the messages are in the log already, with the effects that they bring again.
     *
     * @param list<Update> $updates
     * @param array<string, Vendor> $vendors
     *
     * @return array<string, list<mixed>>
     */
    private function logged(array $updates, array $vendors): array
    {
        $wamids = [];
        foreach ($updates as $update) {
            if (in_array($update->part->kind, ['message', 'echo'], true) && $update->part->wamid() !== null) {
                $wamids[] = $update->part->wamid();
            }
        }
        if ($wamids === [] || $vendors === []) {
            return [];
        }
        $ids = array_map(static fn (Vendor $vendor): int => $vendor->id, array_values($vendors));
        $sidecars = [];
        foreach (
            $this->db->rows(
                sprintf(self::LOGGED, Database::marks($ids), Database::marks($wamids)),
                [...$ids, ...$wamids]
            ) as $row
        ) {
            $sidecars["{$row->vendors__id} {$row->wamid}"] ??= $row->sidecar;
        }

        return $this->kept->again($sidecars);
    }
}
