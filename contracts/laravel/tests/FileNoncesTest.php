<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use RuntimeException;
use WhatsappSidecar\Laravel\Signing\FileNonces;

final class FileNoncesTest extends TestCase
{
    private string $folder;

    private StoppedClock $clock;

    protected function setUp(): void
    {
        $this->folder = sys_get_temp_dir() . '/sidecar-nonces-' . bin2hex(random_bytes(8));
        $this->clock = new StoppedClock(1700000000000);
    }

    protected function tearDown(): void
    {
        array_map('unlink', glob($this->folder . '/*/*') ?: []);
        array_map('rmdir', glob($this->folder . '/*') ?: []);
        is_dir($this->folder) ? rmdir($this->folder) : null;
    }

    public function testAnIdIsClaimedOnce(): void
    {
        self::assertTrue($this->claim('nonce-AAA'));
        self::assertFalse($this->claim('nonce-AAA'));
        self::assertTrue($this->claim('nonce-aaa'));
    }

    public function testFoldersOfStaleTimesAreRemoved(): void
    {
        $this->claim('nonce-1');
        $this->clock->ms += 500 * 1000;
        $this->claim('nonce-2');
        self::assertCount(2, glob($this->folder . '/*'));
        $this->clock->ms += 400 * 1000;
        $this->claim('nonce-3');
        self::assertCount(2, glob($this->folder . '/*'));
    }

    public function testAFolderThatCannotBeMadeIsAnErrorAndNoRepeat(): void
    {
        touch($this->folder);
        $nonces = new FileNonces($this->folder . '/below-a-file', $this->clock);
        try {
            $this->expectException(RuntimeException::class);
            $nonces->claim('nonce-1', 1700000000, 601);
        } finally {
            unlink($this->folder);
        }
    }

    private function claim(string $nonce): bool
    {
        $nonces = new FileNonces($this->folder, $this->clock);

        return $nonces->claim($nonce, intdiv($this->clock->ms, 1000), 601);
    }
}
