<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Cache;

use Illuminate\Database\Eloquent\Model;
use Psr\Log\LoggerInterface;
use Throwable;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\AfterTransactions;
use WhatsappSidecar\Laravel\Support\Failure;

/**
 * Tells the sidecar which vendors' bots and settings have changed, and drops what is cached of them
 * here: both when the change is committed. The sidecar is told once at the end of a web request; on the
 * command line after each transaction, or each change outside of one. Nothing fails if it cannot be told:
 * it reads everything again from time to time.
 */
final class ChangedModels
{
    /** If more vendors changed, the sidecar is told that all may have. */
    private const MAX_VENDORS = 1000;

    private const TIMEOUT_S = 2.0;

    /** @var array<int, true>|null vendors by `_id`; null for all */
    private ?array $vendorIds = [];

    /** @var array<string, true> uids of vendors that may be gone */
    private array $vendorUids = [];

    /** @var array<string, true> */
    private array $scopes = [];

    /** @param bool $atOnce there is no end of a request to wait for */
    public function __construct(
        private VersionedCache $cache,
        private AfterTransactions $transactions,
        private Database $db,
        private SidecarClient $client,
        private LoggerInterface $log,
        private bool $atOnce
    ) {
    }

    /**
     * A row was written or deleted. Where a transaction is open, it has changed when that is committed. Throws
     * nothing: the row is written, and whoever has saved it has other work to do.
     */
    public function changed(string $scope, Model $model): void
    {
        try {
            $ids = $this->vendorsOf($model);
            $uid = $this->isVendor($model) ? (string) ($model->getAttributes()['_uid'] ?? '') : '';
            $this->transactions->committed($model->getConnection(), fn () => $this->note($scope, $ids, $uid));
        } catch (Throwable $error) {
            $this->log->warning("Could not note that {$scope} have changed: " . Failure::message($error));
        }
    }

    /** Tell the sidecar what has changed since the last time. */
    public function tell(): void
    {
        if ($this->scopes === []) {
            return;
        }
        [$ids, $uids, $scopes] = [$this->vendorIds, $this->vendorUids, array_keys($this->scopes)];
        [$this->vendorIds, $this->vendorUids, $this->scopes] = [[], [], []];
        try {
            $uids = $ids === null ? null : $this->uids(array_keys($ids), array_keys($uids));
            if ($uids !== []) {
                $this->client->within(self::TIMEOUT_S)->invalidate($uids, $scopes);
            }
        } catch (Throwable $error) {
            $this->log->warning('Could not tell the sidecar that ' . implode(' and ', $scopes) . ' of '
                . ($ids === null ? 'all vendors' : count($ids) . ' vendor(s)') . ' have changed; it may use the old'
                . ' ones until it reads them again: ' . Failure::message($error));
        }
    }

    /** @param list<int>|null $ids */
    private function note(string $scope, ?array $ids, string $uid): void
    {
        $this->cache->drop($scope, $ids);
        $this->scopes[$scope] = true;
        if ($uid !== '') {
            $this->vendorUids[$uid] = true;
        }
        $this->vendorIds = $ids === null || $this->vendorIds === null
            ? null
            : $this->vendorIds + array_fill_keys($ids, true);
        if (count($this->vendorIds ?? []) > self::MAX_VENDORS) {
            $this->vendorIds = null;
        }
        if ($this->atOnce) {
            $this->transactions->whenNone('the sidecar is not told of changes', fn () => $this->tell());
        }
    }

    private function isVendor(Model $model): bool
    {
        return $model->getTable() === $this->db->table('vendors');
    }

    /**
     * Return whose the row is, and whose it was; null for every vendor's. Goes by what was loaded, and not by
     * the model's accessors, which may throw where a column was not.
     *
     * @return list<int>|null
     */
    private function vendorsOf(Model $model): ?array
    {
        $column = $this->isVendor($model) ? $model->getKeyName() : 'vendors__id';
        $ids = array_filter([$model->getAttributes()[$column] ?? null, $model->getRawOriginal($column)]);

        return $ids === [] ? null : array_values(array_unique(array_map('intval', $ids)));
    }

    /**
     * @param list<int> $ids
     * @param list<string> $uids
     *
     * @return list<string>
     */
    private function uids(array $ids, array $uids): array
    {
        $rows = $ids === [] ? [] : $this->db->rows(
            'SELECT _uid FROM {vendors} WHERE _id IN (' . Database::marks($ids) . ')',
            $ids
        );

        return array_values(array_unique([...array_column($rows, '_uid'), ...array_map('strval', $uids)]));
    }
}
