<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use Throwable;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Results\LearntIds;
use WhatsappSidecar\Laravel\Results\MessageResults;
use WhatsappSidecar\Laravel\Results\NamedIds;
use WhatsappSidecar\Laravel\Results\ResultBatch;
use WhatsappSidecar\Laravel\Results\SendResult;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Store\ContactRows;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\HeldContacts;
use WhatsappSidecar\Laravel\Store\MergeContacts;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Failure;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * Records the outcomes of claimed rows and of pending messages in a constant number of statements: reads the
 * rows together, decides on each result by itself, and writes the decisions together.
 */
final class RecordResults
{
    private const MAX_RESULTS = 1000;

    public function __construct(
        private Database $db,
        private Queue $queue,
        private Clock $clock,
        private ContactRows $contacts,
        private HeldContacts $held,
        private MergeContacts $merge
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $parts = Input::ofBody($body, ['results'])->parts('results', SendResult::FIELDS, self::MAX_RESULTS);

        return ['results' => $this->record(array_map([SendResult::class, 'of'], $parts))];
    }

    /** @return array<string, mixed> */
    public function handleOne(string $body): array
    {
        return $this->record([SendResult::of(Input::ofBody($body, SendResult::FIELDS))])[0];
    }

    /**
     * Record all together; and if that fails, each by itself, so that one that cannot be written spoils
     * none of the others.
     *
     * @param list<SendResult> $results
     *
     * @return list<array<string, mixed>>
     */
    private function record(array $results): array
    {
        try {
            return $this->together($results);
        } catch (Throwable $error) {
            if (Conflict::is($error)) {
                throw $error;
            }
            report($error);
        }

        return array_map(function (SendResult $result): array {
            try {
                return $this->together([$result])[0];
            } catch (Throwable $error) {
                report($error);

                return ['id' => $result->uid, 'result' => 'retry', 'reason' => 'error: ' . Failure::text($error)];
            }
        }, $results);
    }

    /**
     * @param list<SendResult> $results
     *
     * @return list<array<string, mixed>>
     */
    private function together(array $results): array
    {
        $ofCampaigns = array_filter($results, static fn (SendResult $result): bool => $result->campaignUid !== null);
        $others = array_diff_key($results, $ofCampaigns);

        $ids = NamedIds::of($this->db, $results);

        return $this->db->transaction(function () use ($ofCampaigns, $others, $ids): array {
            $now = $this->clock->nowMs();
            $learnt = new LearntIds($this->db, $this->contacts, $this->held, $this->merge);
            $rows = new ResultBatch($this->db, $this->queue, $learnt, $ids, $now, array_values($ofCampaigns));
            $messages = new MessageResults($this->db, $learnt, $ids, $now, array_values($others));
            $answers = array_combine(array_keys($ofCampaigns), $rows->apply())
                + array_combine(array_keys($others), $messages->apply());
            $learnt->write(Time::text($now));
            ksort($answers);

            return array_values($answers);
        });
    }
}
