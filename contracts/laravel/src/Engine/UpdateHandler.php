<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use Closure;
use Throwable;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\OpenTransactions;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Handles an update that is no status: a message once, with the effects that it asks for. */
final class UpdateHandler
{
    /** How long a message waits for another call that handles it; then it comes again. */
    private const WAIT_S = 5;

    private const LOGGED = "SELECT _uid, vendors__id, wamid, JSON_EXTRACT(__data, '$.sidecar') AS sidecar,"
        . " JSON_UNQUOTE(JSON_EXTRACT(__data, '$.message.type')) AS type"
        . ' FROM {logs} WHERE vendors__id IN (%s) AND wamid IN (%s)';

    public function __construct(
        private Database $db,
        private Engine $engine,
        private Effects $effects,
        private KeptEffects $kept,
        private OpenTransactions $transactions,
        private RoutineExit $exit
    ) {
    }

    /** @param array<string, list<mixed>> $logged what logged() returned; a message that is handled joins it */
    public function handle(Vendor $vendor, Update $update, array &$logged): Outcome
    {
        $known = $this->known($vendor, $update, $logged);
        if ($known !== null) {
            return $known;
        }
        $once = self::wamid($update) === null || $this->engine instanceof StoresOnce;
        try {
            $outcome = $once
                ? $this->effectful($vendor, $update)
                : $this->alone($vendor, $update, self::key($vendor, $update));
        } catch (Throwable $error) {
            report($error);
            $outcome = Outcome::failed($error);
        }
        if (self::wamid($update) !== null && $outcome->result === 'done' && ! $this->isOpen($update)) {
            $logged[self::key($vendor, $update)] = $outcome->effects;
        }

        return $outcome;
    }

    /**
     * Return the outcome of a message that is in the log already; null if it has to be handled.
     *
     * @param array<string, list<mixed>> $logged
     */
    public function known(Vendor $vendor, Update $update, array $logged): ?Outcome
    {
        $effects = $logged[self::key($vendor, $update)] ?? null;
        if ($effects === null || self::wamid($update) === null || $this->isOpen($update)) {
            return null;
        }
        // A message that another call has stored this moment has no effects yet; that call may still keep some.
        return $this->engine instanceof StoresOnce || $update->isRaw() || $effects !== []
            ? Outcome::done($update->isRaw() ? [] : $effects)
            : null;
    }

    /** Tell whether an update may be handled together with others. */
    public function goesTogether(Update $update): bool
    {
        return $this->forMany() !== null && in_array($update->part->kind, ['message', 'echo'], true);
    }

    /**
     * Handle the first of some messages as AppliesTogether says; none of them is known, and goesTogether() of all.
     *
     * @param array<int, array{Vendor, Update}> $updates
     * @param array<string, list<mixed>> $logged which those that are stored join
     *
     * @return array<int, Outcome>
     */
    public function together(array $updates, array &$logged): array
    {
        $outcomes = $this->forMany()?->applyTogether($updates) ?? [];
        foreach ($outcomes as $position => $outcome) {
            if ($outcome->result === 'done') {
                $logged[self::key(...$updates[$position])] = $outcome->effects;
            }
        }

        return $outcomes;
    }

    private function forMany(): ?AppliesTogether
    {
        return $this->engine instanceof AppliesTogether ? $this->engine : null;
    }

    /** Tell whether a transaction is open that this class has not begun. */
    public function isInTransaction(): bool
    {
        return $this->db->connection()->transactionLevel() > 0;
    }

    /** Return what a message is known by among those that are logged. */
    public static function key(Vendor $vendor, Update $update): string
    {
        return "{$vendor->id} " . self::wamid($update);
    }

    private static function wamid(Update $update): ?string
    {
        return $update->part->kind === 'change' ? null : $update->part->wamid();
    }

    /**
     * Tell whether the engine itself knows what it has had of this kind: an edit or a revoke has no row, and
     * what Meta cannot show may come once more, with its content.
     */
    private function isOpen(Update $update): bool
    {
        $item = $update->part->item;

        return $this->engine instanceof StoresOnce
            && (Answering::isCorrection($item) || Answering::isPlaceholder($item));
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
        $handle = fn (): Outcome => $this->effects->during(
            $vendor,
            $update,
            fn (): Outcome => $this->applied($vendor, $update)
        );

        return $this->isAtomic($update) ? $this->atomically($handle) : $handle();
    }

    /** A raw webhook's answer has no place for effects: the routine may send by itself then. */
    private function isAtomic(Update $update): bool
    {
        $engine = $this->engine;

        return $engine instanceof HostRoutineEngine && $engine->isAtomic() && ! $update->isRaw();
    }

    /**
     * Have all of it be one transaction, of which nothing remains if the update comes again.
     *
     * @param Closure(): Outcome $handle
     */
    private function atomically(Closure $handle): Outcome
    {
        $outcome = null;
        try {
            $this->db->transaction(static function () use ($handle, &$outcome): void {
                $outcome = $handle();
                if (in_array($outcome->result, ['retry', 'rejected'], true)) {
                    throw new NotDone();
                }
            });
        } catch (NotDone) {
            // It was rolled back.
        }

        return $outcome;
    }

    private function applied(Vendor $vendor, Update $update): Outcome
    {
        $levels = $this->transactions->levels();
        try {
            $outcome = $this->exit->around(
                fn (): Outcome => $this->engine->apply($vendor, $update),
                fn (): Outcome => $this->exited($update, $levels)
            );
        } catch (Throwable $error) {
            report($error);
            $outcome = Outcome::failed($error);
        }

        return $this->settled($levels, $outcome);
    }

    /** @param array<string, int> $levels those of transactions before */
    private function settled(array $levels, Outcome $outcome): Outcome
    {
        $wrong = $this->transactions->restore($levels);

        return $wrong === null || $outcome->result !== 'done' ? $outcome : Outcome::retry("error: {$wrong}");
    }

    /**
     * Finish what a routine has begun that has ended the request.
     *
     * @param array<string, int> $levels
     */
    private function exited(Update $update, array $levels): Outcome
    {
        $outcome = $this->settled($levels, Outcome::done());
        if ($outcome->result === 'done') {
            $outcome = $this->effects->cutShort();
            if ($this->isAtomic($update)) {
                $this->db->connection()->commit();
            }
        }

        return $outcome;
    }

    /**
     * Return which of the messages are in the log already, with the effects that they bring again. A row that
     * stands for what Meta could not show is told to its update.
     *
     * @param list<Update> $updates
     * @param array<string, Vendor> $vendors
     *
     * @return array<string, list<mixed>>
     */
    public function logged(array $updates, array $vendors): array
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
        $sidecars = $placeholders = [];
        foreach (
            $this->db->rows(
                sprintf(self::LOGGED, Database::marks($ids), Database::marks($wamids)),
                [...$ids, ...$wamids]
            ) as $row
        ) {
            $key = "{$row->vendors__id} {$row->wamid}";
            if ($this->engine instanceof StoresOnce && Answering::isPlaceholder($row)) {
                $placeholders[$key] = $row->_uid;
            } else {
                $sidecars[$key] ??= $row->sidecar;
            }
        }
        foreach ($placeholders === [] ? [] : $updates as $update) {
            $vendor = $vendors[$update->vendorUid] ?? null;
            $update->placeholder = $placeholders["{$vendor?->id} {$update->part->wamid()}"] ?? null;
        }

        return $this->kept->again($sidecars);
    }
}
