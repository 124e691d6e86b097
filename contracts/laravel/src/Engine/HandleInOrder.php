<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use RuntimeException;
use Throwable;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Failure;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Handles the updates of one request in their order, messages that follow one another together where the engine
 * can. One that fails spoils none of the others: those that cannot be handled together are, in halves, or one by
 * one. What is to stay in order behind one that comes again is not handled.
 */
final class HandleInOrder
{
    /** How many are tried together at least. */
    private const LEAST = 8;

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
        $most = count($updates);
        while (($some = $this->next($updates, $most)) !== []) {
            $done = count($some) < 2 ? [] : $this->together($some);
            $alone = array_key_first(array_diff_key($some, $done));
            if ($alone !== null) {
                $this->one($alone, ...$some[$alone]);
            }
            $updates = array_diff_key($updates, $this->outcomes);
            // What is looked at stays in proportion to what is done, however many stand alone.
            $most = 2 * count($done) + self::LEAST;
        }
    }

    /**
     * Return the first that have to be handled, up to one that is one of them once more; what needs no handling is
     * settled.
     *
     * @param array<int, array{Vendor, Update}> $updates
     *
     * @return array<int, array{Vendor, Update}>
     */
    private function next(array $updates, int $most): array
    {
        $some = $keys = [];
        foreach ($updates as $position => [$vendor, $update]) {
            $outcome = $this->behind($position, $update) ?? $this->handler->known($vendor, $update, $this->logged);
            $key = UpdateHandler::key($vendor, $update);
            if ($outcome !== null) {
                $this->settle($position, $update, $outcome);
            } elseif (isset($keys[$key]) || count($some) >= $most) {
                break;
            } else {
                $keys[$key] = true;
                $some[$position] = [$vendor, $update];
            }
        }

        return $some;
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
            // Whose fault it is says so itself. The error as it is holds all messages.
            report(new RuntimeException(count($updates) . ' messages are handled apart: ' . Failure::text($error)));

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

        if (! $isNews) {
            return $this->apart($updates);
        }
        $this->run($updates);

        return array_intersect_key($this->outcomes, $updates);
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
            foreach (array_chunk($updates, intdiv(count($updates) + 1, 2), true) as $half) {
                $this->run($half);
            }

            return array_intersect_key($this->outcomes, $updates);
        }
        foreach ($updates as $position => [$vendor, $update]) {
            // The application's own transaction is undone, and its end is for the application.
            $this->handler->isInTransaction()
                ? $this->settle($position, $update, Outcome::failed($error))
                : $this->one($position, $vendor, $update);
        }

        return array_intersect_key($this->outcomes, $updates);
    }

    private function one(int $position, Vendor $vendor, Update $update): void
    {
        $outcome = $this->behind($position, $update) ?? $this->handler->handle($vendor, $update, $this->logged);
        $this->settle($position, $update, $outcome);
    }
}
