<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;

/** What of a claim's rows can be sent, and with what. The others become 2. */
final class SendableRows
{
    public function __construct(private FrozenRows $frozen, private Queue $queue)
    {
    }

    /**
     * @param list<stdClass> $rows of the queue
     *
     * @return array{list<array{id: int, row: array<string, mixed>}>, int} the rows as the contract's
     *     ClaimedRow, and how many are not sent because of their contact
     */
    public function of(Campaign $campaign, array $rows, string $now): array
    {
        $sendable = $ended = [];
        foreach ($this->frozen->of([$campaign->id => $campaign], $rows) as $one) {
            if ($one['error'] === null) {
                $sendable[] = ['id' => $one['id'], 'row' => $one['row']];
            } else {
                $ended[$one['error']][$one['message']][] = $one['id'];
            }
        }

        return [$sendable, $this->end($ended, $now)];
    }

    /**
     * @param array<string, array<string, list<int>>> $ended rows by `error_status` and `error_message`
     *
     * @return int how many are not sent because of their contact
     */
    private function end(array $ended, string $now): int
    {
        $skipped = 0;
        foreach ($ended as $error => $messages) {
            foreach ($messages as $message => $ids) {
                $this->queue->end($ids, QueueStatus::ERROR, $error, $message, $now, notSent: true);
                $skipped += isset(OptOuts::MESSAGES[$error]) ? count($ids) : 0;
            }
        }

        return $skipped;
    }
}
