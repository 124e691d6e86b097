<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use InvalidArgumentException;
use WhatsappSidecar\Laravel\Support\Setting;

/** The signing keys that are valid now, by id. */
final class Keys
{
    /** @param array<string, string> $secrets */
    public function __construct(private array $secrets)
    {
    }

    /** @param string|array<string, string> $value "id:secret,id:secret", or secrets by id */
    public static function parse(string|array $value): self
    {
        if (is_array($value)) {
            return new self($value);
        }
        $secrets = [];
        foreach (Setting::list($value) as $position => $key) {
            [$id, $secret] = explode(':', $key, 2) + [1 => ''];
            $wrong = match (true) {
                $id === '' || $secret === '' => 'is not of the form id:secret',
                ! preg_match('/^[A-Za-z0-9._-]{1,64}$/D', $id)
                    => 'has an id of more than letters, digits, dots, - and _',
                ! preg_match('/^.{16,}$/Dsu', $secret) => 'has a secret of fewer than 16 characters',
                isset($secrets[$id]) => 'has the id of another one',
                default => null,
            };
            if ($wrong !== null) {
                throw new InvalidArgumentException(
                    'whatsapp-sidecar.keys: key ' . ($position + 1) . " {$wrong}; see WHATSAPP_SIDECAR_KEYS"
                );
            }
            $secrets[$id] = $secret;
        }

        return new self($secrets);
    }

    public function secret(string $id): ?string
    {
        return $this->secrets[$id] ?? null;
    }

    /** @return array{string, string} id and secret of the key that signs */
    public function signing(): array
    {
        $id = array_key_first($this->secrets);
        if ($id === null) {
            throw new InvalidArgumentException(
                'whatsapp-sidecar.keys: there is no signing key; set WHATSAPP_SIDECAR_KEYS=id:secret'
            );
        }

        return [(string) $id, $this->secrets[$id]];
    }

    /** @return list<string> the first one signs */
    public function ids(): array
    {
        return array_map('strval', array_keys($this->secrets));
    }

    public function count(): int
    {
        return count($this->secrets);
    }
}
