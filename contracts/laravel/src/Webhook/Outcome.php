<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

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

    /** Nothing to do, and never will be. */
    public static function ignored(string $reason): self
    {
        return new self('ignored', $reason);
    }

    /** Not applied; comes again. */
    public static function retry(string $reason, ?int $afterMs = null): self
    {
        return new self('retry', $reason, $afterMs);
    }

    public static function failed(\Throwable $error): self
    {
        $text = 'error: ' . get_class($error) . ': ' . $error->getMessage();

        return self::retry(mb_substr(mb_scrub($text), 0, 500));
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
