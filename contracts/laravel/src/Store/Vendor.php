<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** A vendor as it stood when the call began. */
final class Vendor
{
    private const TRUE = ['1', 'true', 'on', 'yes'];

    private const OPENAI = 'https://api.openai.com/v1';

    /** @var array<string, stdClass>|null what is asked for with each message is read once */
    private ?array $phoneNumbers = null;

    /** @var list<string>|null|false fields of Meta's, null for all; false until it is read */
    private array|null|false $forwardedFields = false;

    /** @var array<string, string>|null|false false until it is read */
    private array|null|false $broadcaster = false;

    /**
     * @param array<string, ?string> $settings values by the package's names for them
     * @param list<string> $sharedSecrets
     * @param array<string, string>|null $sharedBroadcaster
     */
    public function __construct(
        public int $id,
        public string $uid,
        public bool $active,
        private array $settings,
        private array $sharedSecrets,
        private ?array $sharedBroadcaster = null
    ) {
    }

    /** Return a setting that is not empty; $name is a key of config('whatsapp-sidecar.settings'). */
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
        if ($this->phoneNumbers !== null) {
            return $this->phoneNumbers;
        }
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

        return $this->phoneNumbers = $numbers;
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

    /** Return how marketing templates are sent, as the contract's MarketingMessages. */
    public function marketingMessages(): string
    {
        $word = strtolower(trim((string) $this->setting('marketing_messages')));

        return in_array($word, ['fallback', 'strict'], true) ? $word : 'off';
    }

    public function requeuesHealthyError(): bool
    {
        return $this->isOn('requeue_healthy_error');
    }

    /**
     * Return when bots answer, as the contract's BotHours; null if they always do.
     *
     * @return array<string, mixed>|null
     */
    public function botHours(): ?array
    {
        $own = Json::object($this->setting('bot_hours'));
        $on = $this->setting('bot_hours_on') === null || $this->isOn('bot_hours_on');
        $separate = $on ? [
            'start' => $this->setting('bot_hours_start'),
            'end' => $this->setting('bot_hours_end'),
            'timezone' => $this->setting('bot_hours_timezone'),
            'trigger_types' => $this->types($this->setting('bot_hours_types')),
        ] : [];
        $hours = isset($own->start) ? (array) $own : $separate;
        if (! is_string($hours['start'] ?? null) || ! is_string($hours['end'] ?? null)) {
            return null;
        }
        $zone = $hours['timezone'] ?? null;
        $types = $hours['trigger_types'] ?? null;

        return [
            'start' => $hours['start'],
            'end' => $hours['end'],
            'timezone' => is_string($zone) ? $zone : Time::zone()->getName(),
            'trigger_types' => is_array($types) ? array_values(array_filter($types, 'is_string')) : null,
        ];
    }

    /**
     * Return the providers that an AI can be asked of, as the contract's AiProvider.
     *
     * @return list<array<string, ?string>>
     */
    public function aiProviders(): array
    {
        $providers = [];
        foreach (Json::list($this->setting('ai_providers')) as $value) {
            $provider = self::texts($value, ['name', 'url'], ['kind', 'api_key', 'model']);
            if ($provider !== null) {
                $providers[] = ['kind' => $provider['kind'] ?? 'openai'] + $provider;
            }
        }
        $taken = array_column($providers, 'name');
        foreach ($this->separateProviders() as $provider) {
            if (! in_array($provider['name'], $taken, true)) {
                $providers[] = $provider;
            }
        }

        return $providers;
    }

    /** Return the name of the provider that the vendor's AI bot asks; null if it has no AI bot. */
    public function aiBotProvider(): ?string
    {
        $name = $this->setting('ai_bot_provider');

        return in_array($name, array_column($this->aiProviders(), 'name'), true) ? $name : null;
    }

    /** @return array{url: string, secret: ?string}|null the vendor's own webhook */
    public function forward(): ?array
    {
        $url = $this->setting('forward_url');

        return $url === null ? null : ['url' => $url, 'secret' => $this->setting('forward_secret')];
    }

    /** Tell whether the vendor's own webhook gets updates of this field of Meta's ("" where none is named). */
    public function forwards(string $field): bool
    {
        if ($this->forward() === null) {
            return false;
        }
        if ($this->forwardedFields === false) {
            $this->forwardedFields = $this->types($this->setting('forward_fields'));
        }
        $fields = $this->forwardedFields;

        return $fields === null || in_array($field === '' ? 'messages' : $field, $fields, true);
    }

    /** @return array<string, string>|null the broadcast server, as the contract's Broadcaster */
    public function broadcaster(): ?array
    {
        if ($this->broadcaster === false) {
            $own = self::texts(Json::object($this->setting('broadcaster')), ['url', 'app_id', 'key', 'secret'], []);
            $this->broadcaster = $own ?? $this->sharedBroadcaster;
        }

        return $this->broadcaster;
    }

    private function isOn(string $name): bool
    {
        return in_array(strtolower((string) $this->setting($name)), self::TRUE, true);
    }

    /** @return list<array<string, ?string>> */
    private function separateProviders(): array
    {
        $key = $this->setting('openai_api_key');
        $url = $this->setting('flowise_url');

        return array_values(array_filter([
            $key === null ? null : [
                'name' => 'openai',
                'kind' => 'openai',
                'url' => self::OPENAI,
                'api_key' => $key,
                'model' => $this->setting('openai_model'),
            ],
            $url === null ? null : [
                'name' => 'flowise',
                'kind' => 'flowise',
                'url' => $url,
                'api_key' => $this->setting('flowise_api_key'),
                'model' => null,
            ],
        ]));
    }

    /** @return list<string>|null */
    private function types(?string $text): ?array
    {
        if ($text === null) {
            return null;
        }

        return str_starts_with(ltrim($text), '[') ? Json::list($text) : array_map('trim', explode(',', $text));
    }

    /**
     * Return an object's texts; null if one that it must have is not there, or one is no text.
     *
     * @param list<string> $needed
     * @param list<string> $optional
     *
     * @return array<string, ?string>|null
     */
    private static function texts(mixed $value, array $needed, array $optional): ?array
    {
        $texts = [];
        foreach ([...$needed, ...$optional] as $name) {
            $text = $value instanceof stdClass ? $value->{$name} ?? null : null;
            if (! is_string($text) && ($text !== null || in_array($name, $needed, true))) {
                return null;
            }
            $texts[$name] = $text;
        }

        return $texts;
    }
}
