<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http;

use JsonException;
use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * A JSON object of a request, read field by field. What is not of the documented shape is refused with
 * a message that names the field.
 */
final class Input
{
    private function __construct(private stdClass $fields, private string $path)
    {
    }

    /** @param list<string> $names the fields there are; any other is refused */
    public static function ofBody(string $body, array $names): self
    {
        try {
            $fields = Json::read($body);
        } catch (JsonException $error) {
            throw Refused::invalid('body: is not JSON: ' . $error->getMessage());
        }
        if (! $fields instanceof stdClass) {
            throw Refused::invalid('body: must be an object');
        }

        return (new self($fields, ''))->only($names);
    }

    public function text(string $name): string
    {
        return $this->optionalText($name) ?? throw $this->wrong($name, 'must be a text');
    }

    /** @param int $max how many characters it may have */
    public function optionalText(string $name, int $max = PHP_INT_MAX): ?string
    {
        $value = $this->fields->{$name} ?? null;
        if ($value !== null && ! is_string($value)) {
            throw $this->wrong($name, 'must be a text');
        }
        if ($value !== null && mb_strlen($value) > $max) {
            throw $this->wrong($name, "must have at most {$max} characters");
        }

        return $value;
    }

    public function integer(string $name, int $min = PHP_INT_MIN, int $max = PHP_INT_MAX, ?int $default = null): int
    {
        return $this->optionalInteger($name, $min, $max)
            ?? $default
            ?? throw $this->wrong($name, 'must be an integer');
    }

    public function optionalInteger(string $name, int $min = PHP_INT_MIN, int $max = PHP_INT_MAX): ?int
    {
        $value = $this->fields->{$name} ?? null;
        if ($value === null) {
            return null;
        }
        if (! is_int($value)) {
            throw $this->wrong($name, 'must be an integer of at most 64 bits');
        }
        if ($value < $min || $value > $max) {
            throw $this->wrong($name, "must be from {$min} to {$max}");
        }

        return $value;
    }

    public function flag(string $name, bool $default = false): bool
    {
        $value = $this->fields->{$name} ?? $default;

        return is_bool($value) ? $value : throw $this->wrong($name, 'must be true or false');
    }

    /** @param list<string> $values */
    public function oneOf(string $name, array $values): string
    {
        return $this->optionalOneOf($name, $values)
            ?? throw $this->wrong($name, 'must be one of ' . implode(', ', $values));
    }

    /** @param list<string> $values */
    public function optionalOneOf(string $name, array $values): ?string
    {
        $value = $this->fields->{$name} ?? null;
        if ($value !== null && ! in_array($value, $values, true)) {
            throw $this->wrong($name, 'must be one of ' . implode(', ', $values));
        }

        return $value;
    }

    public function object(string $name): stdClass
    {
        return $this->optionalObject($name) ?? throw $this->wrong($name, 'must be an object');
    }

    public function optionalObject(string $name): ?stdClass
    {
        $value = $this->fields->{$name} ?? null;
        if ($value !== null && ! $value instanceof stdClass) {
            throw $this->wrong($name, 'must be an object');
        }

        return $value;
    }

    /**
     * @param list<string> $names the fields that the object may have
     */
    public function part(string $name, array $names): ?self
    {
        $value = $this->optionalObject($name);

        return $value === null ? null : (new self($value, $this->at($name) . '.'))->only($names);
    }

    /** @return list<string>|null null if it is missing */
    public function texts(string $name, int $max, int $min = 0): ?array
    {
        $values = $this->list($name, $min, $max);
        foreach ($values ?? [] as $position => $value) {
            if (! is_string($value)) {
                throw $this->wrong("{$name}.{$position}", 'must be a text');
            }
        }

        return $values;
    }

    /** @return list<int> none if it is missing */
    public function integers(string $name, int $max): array
    {
        $values = $this->list($name, 0, $max) ?? [];
        foreach ($values as $position => $value) {
            if (! is_int($value)) {
                throw $this->wrong("{$name}.{$position}", 'must be an integer of at most 64 bits');
            }
        }

        return $values;
    }

    /** @return list<stdClass> */
    public function objects(string $name, int $max = PHP_INT_MAX): array
    {
        $values = $this->list($name, 0, $max) ?? [];
        foreach ($values as $position => $value) {
            if (! $value instanceof stdClass) {
                throw $this->wrong("{$name}.{$position}", 'must be an object');
            }
        }

        return $values;
    }

    /** Return an object that may have other fields than those that are read. */
    public function open(string $name): ?self
    {
        $value = $this->optionalObject($name);

        return $value === null ? null : new self($value, $this->at($name) . '.');
    }

    /**
     * Return a list's objects, which may have other fields than those that are read.
     *
     * @return list<self>
     */
    public function openParts(string $name, int $max): array
    {
        if (! isset($this->fields->{$name})) {
            throw $this->wrong($name, 'must be a list');
        }
        $parts = [];
        foreach ($this->objects($name, $max) as $position => $value) {
            $parts[] = new self($value, $this->at("{$name}.{$position}") . '.');
        }

        return $parts;
    }

    /**
     * @param list<string> $names the fields that each of the objects may have
     *
     * @return list<self>
     */
    public function parts(string $name, array $names, int $max, int $min = 1): array
    {
        $parts = [];
        if ($min > 0 && ($this->fields->{$name} ?? []) === []) {
            throw $this->wrong($name, 'must be a list with 1 element at least');
        }
        foreach ($this->objects($name, $max) as $position => $value) {
            $parts[] = (new self($value, $this->at("{$name}.{$position}") . '.'))->only($names);
        }

        return $parts;
    }

    /** @return list<mixed>|null */
    private function list(string $name, int $min, int $max): ?array
    {
        $values = $this->fields->{$name} ?? null;
        if ($values === null) {
            return $min === 0 ? null : throw $this->wrong($name, 'must be a list');
        }
        if (! is_array($values)) {
            throw $this->wrong($name, 'must be a list');
        }
        if (count($values) < $min || count($values) > $max) {
            throw $this->wrong($name, "must have from {$min} to {$max} elements");
        }

        return $values;
    }

    /** @param list<string> $names */
    private function only(array $names): self
    {
        foreach (array_map('strval', array_keys(get_object_vars($this->fields))) as $name) {
            if (! in_array($name, $names, true)) {
                throw $this->wrong($name, 'there is no such field');
            }
        }

        return $this;
    }

    private function at(string $name): string
    {
        return $this->path . $name;
    }

    private function wrong(string $name, string $what): Refused
    {
        return Refused::invalid(mb_scrub(mb_substr($this->at($name), 0, 200)) . ": {$what}");
    }
}
