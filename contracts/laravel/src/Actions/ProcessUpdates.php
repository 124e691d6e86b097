<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use Illuminate\Contracts\Events\Dispatcher;
use Throwable;
use WhatsappSidecar\Laravel\Engine\HandleInOrder;
use WhatsappSidecar\Laravel\Engine\RoutineExit;
use WhatsappSidecar\Laravel\Engine\UpdateHandler;
use WhatsappSidecar\Laravel\Events\UpdateTaken;
use WhatsappSidecar\Laravel\Http\Answer;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Statuses\ApplyStatuses;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Applies a batch of updates, and answers each. Statuses are applied together, after the others, whose
 * order is kept. If one update fails, that one alone comes again.
 */
final class ProcessUpdates
{
    private const MAX_UPDATES = 1000;

    private const FIELDS = [
        'id', 'vendor_uid', 'kind', 'received_at', 'attempt', 'payload', 'lower_statuses', 'bots', 'order',
    ];

    private const KINDS = ['message', 'echo', 'status', 'change'];

    public function __construct(
        private Vendors $vendors,
        private UpdateHandler $handler,
        private ApplyStatuses $statuses,
        private Dispatcher $events,
        private RoutineExit $exit
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
        $this->exit->answerBy(count($ids) !== 1 ? null : static function (Outcome $outcome) use ($ids): void {
            Answer::json(self::results($ids, [$outcome]))->send();
        });

        return self::results($ids, $this->process($updates));
    }

    /**
     * @param list<string> $ids
     * @param list<Outcome> $outcomes
     *
     * @return array<string, mixed>
     */
    private static function results(array $ids, array $outcomes): array
    {
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
        $order = new HandleInOrder($this->handler, $this->handler->logged($known, $vendors));
        $statuses = [];
        foreach ($updates as $position => $update) {
            $vendor = $update === null ? null : $vendors[$update->vendorUid] ?? null;
            $outcome = $this->refused($update, $vendor)
                ?? $order->behind($position, $update)
                ?? $this->announced($vendor, $update);
            if ($outcome !== null) {
                $order->settle($position, $update, $outcome);
            } elseif ($update->part->kind === 'status') {
                $statuses[$position] = [$vendor, $update];
            } else {
                $order->add($position, $vendor, $update);
            }
        }
        $order->finish();
        foreach ($statuses as $position => [, $update]) {
            $behind = $order->behind($position, $update);
            if ($behind !== null) {
                $order->settle($position, $update, $behind);
            }
        }
        $outcomes = $order->outcomes + $this->statuses->apply(array_diff_key($statuses, $order->outcomes));
        ksort($outcomes);

        return array_values($outcomes);
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

        if ($part === null || $part->kind !== $kind) {
            return null;
        }
        $update = new Update($vendorUid, $part, $payload);
        $update->lowerStatuses = $lower;
        $update->receivedAt = $receivedAt;
        $update->attempt = $attempt;
        $update->id = $id;
        $update->bots = $bots;
        $update->order = $order;

        return $update;
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
}
