<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use Throwable;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Handles the updates of one request in their order, messages that follow one another together where the engine
 * can. One that fails spoils none of the others: those that cannot be handled together are, in halves, or one by
 * one. What is to stay in order behind one that comes again is not handled.
 */
final class HandleInOrder
{
    /** @var array<int, Outcome> by the update's place in the request */
    public array $outcomes = [];

    /** @var array<string, int> the first place of one that comes again, by its order */
    private array $stuck = [];

    /** @var array<int, array{Vendor, Update}> messages that wait for others to go with */
    private array $waiting = [];

    /** @param array<string, list<mixed>> $logged what UpdateHandler has found in the log */
    public function __construct(private UpdateHandler $handler, private array $logged)
    {
    }

    /** Return the outcome of an update that stands behind one that comes again; null of any other. */
    public function behind(int $position, Update $update): ?Outcome
    {
        return ($this->stuck[$update->order ?? ''] ?? PHP_INT_MAX) < $position
            ? Outcome::retry('behind_another')
            : null;
    }

    public function settle(int $position, ?Update $update, Outcome $outcome): void
    {
        $this->outcomes[$position] = $outcome;
        if ($update?->order !== null && $outcome->result === 'retry') {
            $this->stuck[$update->order] = min($position, $this->stuck[$update->order] ?? $position);
        }
    }

    /** Handle an update, now or with those that follow. */
    public function add(int $position, Vendor $vendor, Update $update): void
    {
        if ($this->handler->goesTogether($update)) {
            $this->waiting[$position] = [$vendor, $update];
        } else {
            $this->finish();
            $this->one($position, $vendor, $update);
        }
    }

    /** Handle those that wait. */
    public function finish(): void
    {
        [$waiting, $this->waiting] = [$this->waiting, []];
        $this->run($waiting);
    }

    /** @param array<int, array{Vendor, Update}> $updates */
    private function run(array $updates): void
    {
        while ($updates !== []) {
            $updates = $this->unsettled($updates);
            $some = self::distinct($updates);
            $done = count($some) < 2 ? [] : $this->together($some);
            $updates = array_diff_key($updates, $this->outcomes);
            if (count($done) < count($some) && $updates !== []) {
                // The next one does not go with others.
                $position = array_key_first($updates);
                $this->one($position, ...$updates[$position]);
                unset($updates[$position]);
            }
        }
    }

    /**
     * Settle what needs no handling, and return the rest.
     *
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, array{Vendor, Update}>
     */
    private function unsettled(array $updates): array
    {
        foreach ($updates as $position => [$vendor, $update]) {
            $outcome = $this->behind($position, $update) ?? $this->handler->known($vendor, $update, $this->logged);
            if ($outcome !== null) {
                $this->settle($position, $update, $outcome);
                unset($updates[$position]);
            }
        }

        return $updates;
    }

    /**
     * Handle some together; or, where that fails, all of them apart.
     *
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, Outcome> of those that are handled by now
     */
    private function together(array $updates): array
    {
        try {
            $outcomes = $this->handler->together($updates, $this->logged);
        } catch (StoredMeanwhile) {
            return $this->again($updates);
        } catch (Throwable $error) {
            report($error);

            return $this->apart($updates, $error);
        }
        foreach ($outcomes as $position => $outcome) {
            $this->settle($position, $updates[$position][1], $outcome);
        }

        return $outcomes;
    }

    /**
     * Another call has stored some of them since the log was read.
     *
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, Outcome>
     */
    private function again(array $updates): array
    {
        $vendors = array_column(array_column($updates, 0), null, 'uid');
        $logged = $this->handler->logged(array_column($updates, 1), $vendors);
        $isNews = array_diff_key($logged, $this->logged) !== [];
        $this->logged += $logged;

        return $isNews ? $this->all($updates) : $this->apart($updates);
    }

    /**
     * Handle them one by one after a conflict, which came of handling many; else in halves, until those are alone
     * that are at fault.
     *
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, Outcome>
     */
    private function apart(array $updates, ?Throwable $error = null): array
    {
        if ($error === null || ! Conflict::is($error)) {
            $half = intdiv(count($updates), 2);

            return $this->all(array_slice($updates, 0, $half, true)) + $this->all(array_slice($updates, $half, null, true));
        }
        foreach ($updates as $position => [$vendor, $update]) {
            // The application's own transaction is undone, and its end is for the application.
            $this->handler->isInTransaction()
                ? $this->settle($position, $update, Outcome::failed($error))
                : $this->one($position, $vendor, $update);
        }

        return array_intersect_key($this->outcomes, $updates);
    }

    /**
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, Outcome>
     */
    private function all(array $updates): array
    {
        $this->run($updates);

        return array_intersect_key($this->outcomes, $updates);
    }

    private function one(int $position, Vendor $vendor, Update $update): void
    {
        $outcome = $this->behind($position, $update) ?? $this->handler->handle($vendor, $update, $this->logged);
        $this->settle($position, $update, $outcome);
    }

    /**
     * Return the first of them, up to the first that is one of them once more.
     *
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, array{Vendor, Update}>
     */
    private static function distinct(array $updates): array
    {
        $some = [];
        foreach ($updates as $position => [$vendor, $update]) {
            $key = UpdateHandler::key($vendor, $update);
            if (isset($some[$key])) {
                break;
            }
            $some[$key] = $position;
        }

        return array_intersect_key($updates, array_flip($some));
    }
}
