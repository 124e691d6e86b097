<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Media;

/** The folder into which the sidecar puts media, as this application sees it. */
final class Folder
{
    private const PATH = '~\A[\w-]+/\d{4}-\d{2}/[\w-]+\.\w+\z~';

    /** @param ?string $root null or empty: no media is fetched */
    public function __construct(private ?string $root)
    {
    }

    public function isOn(): bool
    {
        return (string) $this->root !== '';
    }

    public function root(): ?string
    {
        return $this->isOn() ? rtrim((string) $this->root, '/') : null;
    }

    public function isReadable(): bool
    {
        return $this->isOn() && is_dir((string) $this->root()) && is_readable((string) $this->root());
    }

    /** Return the full name of a file, by its path as the sidecar reports it. */
    public function file(?string $path): ?string
    {
        return $this->isOn() && preg_match(self::PATH, (string) $path) === 1 ? "{$this->root()}/{$path}" : null;
    }
}
