<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/** A row of the queue as the call found it, and what the call makes of it. */
final class QueueRow
{
    /** List in `__data.sidecar`: results that were applied, as `outcome:at`. */
    public const RESULTS = 'results';

    /**
     * List in `__data.sidecar`: wamids of sends that failed and are to be sent anew. Neither their
     * results nor their statuses say anything about the row any more.
     */
    public const SUPERSEDED = 'superseded_wamids';

    /**
     * In `__data.sidecar`: when the row failed without having been sent, as its `updated_at` says too. If
     * that says something else, somebody has had the row since.
     */
    public const NOT_SENT = 'not_sent_at';

    /** In `__data.sidecar`: an earlier attempt may have sent the row, and a person had it sent again. */
    public const MAYBE_SENT = 'maybe_sent';

    /**
     * In `__data.sidecar`: how many of `retries` are the sidecar's. The others are a cron's, of which nobody
     * knows whether they sent the row.
     */
    public const RETRIES = 'retries';

    public const COLUMNS = '_id, _uid, vendors__id, campaigns__id, contacts__id, status,'
        . ' phone_with_country_code, retries, __data';

    public int $id;

    public string $uid;

    public int $vendorId;

    public ?int $campaignId;

    public ?int $contactId;

    public int $status;

    public string $phone;

    public int $retries;

    public bool $gone = false;

    /** What `__data` holds; most of those who look at a row never ask, and it may be long. */
    private ?stdClass $data = null;

    private ?stdClass $sidecar = null;

    private int $countedRetries = 0;

    public function __construct(private stdClass $row)
    {
        $this->id = (int) $row->_id;
        $this->uid = $row->_uid;
        $this->vendorId = (int) $row->vendors__id;
        $this->campaignId = $row->campaigns__id === null ? null : (int) $row->campaigns__id;
        $this->contactId = $row->contacts__id === null ? null : (int) $row->contacts__id;
        $this->status = (int) $row->status;
        $this->phone = (string) $row->phone_with_country_code;
        $this->retries = (int) $row->retries;
    }

    public function data(): stdClass
    {
        return $this->data ??= Json::object($this->row->__data);
    }

    /** Return `__data.sidecar`. */
    private function sidecar(): stdClass
    {
        return $this->sidecar ??= Json::section($this->data(), 'sidecar');
    }

    /** Return the claim that holds the row, if one does. */
    public function claimUid(): ?string
    {
        $uid = Json::section($this->sidecar(), 'claim')->uid ?? null;

        return is_string($uid) ? $uid : null;
    }

    /**
     * Return what its log row keeps of the row, which goes: for whoever asks later.
     *
     * @return array<string, mixed>
     */
    public function history(): array
    {
        return array_filter([
            'claimed_at' => Json::section($this->sidecar(), 'claim')->at ?? null,
            self::RESULTS => $this->sidecar()->{self::RESULTS} ?? null,
        ]);
    }

    /** How many of the row's retries are the sidecar's. */
    public static function ownRetries(stdClass $sidecar): int
    {
        $retries = $sidecar->{self::RETRIES} ?? null;

        return is_int($retries) ? $retries : 0;
    }

    public function countRetry(): void
    {
        $this->retries++;
        $this->countedRetries++;
    }

    public function remembers(string $list, string $value): bool
    {
        $values = $this->sidecar()->{$list} ?? null;

        return is_array($values) && in_array($value, $values, true);
    }

    public function remember(string $list, string $value): void
    {
        $values = $this->sidecar()->{$list} ?? null;
        $this->sidecar()->{$list} = [...(is_array($values) ? $values : []), $value];
    }

    /**
     * Return the merge patch of `__data` that keeps what is remembered and gives the claim up.
     *
     * @param array<string, string>|null $response `process_response`
     * @param string|null $notSentAt when it ended without having been sent
     */
    public function patch(?array $response, ?string $notSentAt = null): string
    {
        $patch = ['sidecar' => ['claim' => null, self::NOT_SENT => $notSentAt]];
        $retries = self::ownRetries($this->sidecar()) + $this->countedRetries;
        if ($retries > 0) {
            $patch['sidecar'][self::RETRIES] = $retries;
        }
        foreach ([self::RESULTS, self::SUPERSEDED] as $list) {
            if (isset($this->sidecar()->{$list})) {
                $patch['sidecar'][$list] = $this->sidecar()->{$list};
            }
        }

        return Json::dump($response === null ? $patch : $patch + ['process_response' => $response]);
    }
}
