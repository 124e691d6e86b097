<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use WhatsappSidecar\Laravel\Support\Failure;

/** The outcome of one update. */
final class Outcome
{
    /** @param list<mixed> $effects network I/O that the sidecar is asked to do */
    private function __construct(
        public string $result,
        public ?string $reason = null,
        public ?int $retryAfterMs = null,
        public array $effects = [],
        public ?string $campaignUid = null
    ) {
    }

    /**
     * Applied, now or before. The campaign's uid is given if the status of one of its messages changed.
     *
     * @param list<mixed> $effects
     */
    public static function done(array $effects = [], ?string $campaignUid = null): self
    {
        return new self('done', null, null, $effects, $campaignUid);
    }

    /**
     * Nothing to do, and never will be.
     *
     * @param list<mixed> $effects
     */
    public static function ignored(string $reason, array $effects = []): self
    {
        return new self('ignored', $reason, null, $effects);
    }

    /** Not applied; comes again. */
    public static function retry(string $reason, ?int $afterMs = null): self
    {
        return new self('retry', $reason, $afterMs);
    }

    /** Cannot be applied, however often it comes. */
    public static function rejected(string $reason): self
    {
        return new self('rejected', $reason);
    }

    /** It raised: it comes again, unless the database will never take it. */
    public static function failed(\Throwable $error): self
    {
        $reason = 'error: ' . Failure::text($error);

        return Failure::isData($error) ? self::rejected($reason) : self::retry($reason);
    }

    /** @return array<string, mixed> */
    public function json(): array
    {
        $answer = ['result' => $this->result, 'reason' => $this->reason];
        if ($this->retryAfterMs !== null) {
            $answer['retry_after_ms'] = $this->retryAfterMs;
        }

        if ($this->campaignUid !== null) {
            $answer['campaign_uid'] = $this->campaignUid;
        }

        return $this->effects === [] ? $answer : $answer + ['effects' => $this->effects];
    }
}
