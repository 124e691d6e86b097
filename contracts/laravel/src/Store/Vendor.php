<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/** A vendor as it stood when the call began. */
final class Vendor
{
    private const TRUE = ['1', 'true', 'on', 'yes'];

    /**
     * @param array<string, ?string> $settings values by the package's names for them
     * @param list<string> $sharedSecrets
     */
    public function __construct(
        public int $id,
        public string $uid,
        public bool $active,
        private array $settings,
        private array $sharedSecrets
    ) {
    }

    /** Return a setting that is not empty; $name is a key of config('sidecar.settings'). */
    public function setting(string $name): ?string
    {
        $value = $this->settings[$name] ?? null;

        return $value === '' ? null : $value;
    }

    /**
     * Return every number by its id, the current one included.
     *
     * @return array<string, stdClass>
     */
    public function phoneNumbers(): array
    {
        $numbers = [];
        foreach (Json::list($this->setting('phone_numbers')) as $number) {
            $id = $number instanceof stdClass ? $number->id ?? null : null;
            if ((is_string($id) || is_int($id)) && (string) $id !== '') {
                $numbers['#' . $id] = $number;
            }
        }
        $current = $this->setting('current_phone_number_id');
        if ($current !== null) {
            $numbers['#' . $current] ??= new stdClass();
        }

        return $numbers;
    }

    public function hasPhoneNumber(string $id): bool
    {
        return isset($this->phoneNumbers()['#' . $id]);
    }

    /** @return list<string> */
    public function appSecrets(): array
    {
        $text = $this->setting('app_secrets');
        $own = $text === null || str_starts_with(ltrim($text), '[') ? Json::list($text) : [$text];
        $secrets = array_filter($own, static fn (mixed $secret): bool => is_string($secret) && $secret !== '');

        return [...array_values($secrets), ...$this->sharedSecrets];
    }

    public function requeuesHealthyError(): bool
    {
        return in_array(strtolower((string) $this->setting('requeue_healthy_error')), self::TRUE, true);
    }
}
