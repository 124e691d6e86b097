<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Signing;

use RuntimeException;
use WhatsappSidecar\Laravel\Support\Clock;

/**
 * Ids as empty files, for applications whose cache keeps one file per entry and never cleans up.
 *
 * An id is signed together with its call's time, so a repeated call lands in the folder of the same
 * time; folders whose times are refused as stale are removed.
 */
final class FileNonces implements Nonces
{
    private const FOLDER_S = 60;

    public function __construct(private string $folder, private Clock $clock)
    {
    }

    public function claim(string $nonce, int $timestamp, int $ttlS): bool
    {
        $part = $this->folder . '/' . intdiv($timestamp, self::FOLDER_S);
        if (! is_dir($part)) {
            $this->removeBefore($this->clock->nowMs() / 1000 - $ttlS - self::FOLDER_S);
            if (! @mkdir($part, 0700, true) && ! is_dir($part)) {
                throw new RuntimeException("cannot make the folder {$part}; make {$this->folder} writable for PHP");
            }
        }
        // File systems that do not tell letters' case apart must not take two ids for one.
        $file = @fopen($part . '/' . bin2hex($nonce), 'x');
        if ($file === false) {
            return file_exists($part . '/' . bin2hex($nonce))
                ? false
                : throw new RuntimeException("cannot write into the folder {$part}; make it writable for PHP");
        }
        fclose($file);

        return true;
    }

    private function removeBefore(float $second): void
    {
        foreach (glob($this->folder . '/*', GLOB_ONLYDIR) ?: [] as $part) {
            if (((int) basename($part) + 1) * self::FOLDER_S < $second) {
                array_map('unlink', glob($part . '/*') ?: []);
                @rmdir($part);
            }
        }
    }
}
