<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use Throwable;
use WhatsappSidecar\Laravel\Answers\AiAnswer;
use WhatsappSidecar\Laravel\Answers\AnswerBatch;
use WhatsappSidecar\Laravel\Effects\PendingMessages;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Conflict;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Webhook\Outcome;

/** Records what AIs answered, and returns the messages to send. */
final class RecordAiAnswers
{
    private const MAX_ANSWERS = 100;

    public function __construct(
        private Database $db,
        private Vendors $vendors,
        private PendingMessages $messages,
        private Clock $clock,
        private Answering $answering
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $parts = Input::ofBody($body, ['answers'])->parts('answers', AiAnswer::FIELDS, self::MAX_ANSWERS);
        $answers = array_map([AiAnswer::class, 'of'], $parts);

        return ['results' => array_map(
            static fn (AiAnswer $answer, Outcome $outcome): array => ['id' => $answer->id] + $outcome->json(),
            $answers,
            $this->take($answers)
        )];
    }

    /**
     * Take all together; and if that fails, each by itself, so that one that cannot be written spoils
     * none of the others.
     *
     * @param list<AiAnswer> $answers
     *
     * @return list<Outcome>
     */
    private function take(array $answers): array
    {
        try {
            return $this->together($answers);
        } catch (Throwable $error) {
            if (Conflict::is($error)) {
                throw $error;
            }
            report($error);
        }

        return array_map(function (AiAnswer $answer): Outcome {
            try {
                return $this->together([$answer])[0];
            } catch (Throwable $error) {
                report($error);

                return Outcome::failed($error);
            }
        }, $answers);
    }

    /**
     * @param list<AiAnswer> $answers
     *
     * @return list<Outcome>
     */
    private function together(array $answers): array
    {
        $vendors = $this->vendors->load(array_column($answers, 'vendorUid'));

        return $this->db->transaction(fn (): array => (new AnswerBatch(
            $this->db,
            $this->messages,
            $vendors,
            $answers,
            $this->clock->nowMs(),
            $this->answering
        ))->apply());
    }
}
