<?php

declare(strict_types=1);

namespace App;

use RuntimeException;
use WhatsappSidecar\Laravel\Events\UpdateTaken;

/** Fails on updates in the way that they ask for ("php answers 500"), where storage/faults allows it. */
final class FaultListener
{
    private const ASKED = '/php answers (400|500|garbage|nothing|late|never|error)/';

    private const LATE_S = 4;

    public function handle(UpdateTaken $event): void
    {
        if (! is_file(storage_path('faults')) || ! preg_match(self::ASKED, $event->update->body(), $asked)) {
            return;
        }
        match ($asked[1]) {
            '400' => self::answer(400, '{"error": {"code": "request_invalid", "message": "as it asks for"}}'),
            '500' => self::answer(500, '<h1>500 Internal Server Error</h1>'),
            'garbage' => self::answer(200, '{"results": [{"id": 7, "result": {}}, [[['),
            'nothing' => self::answer(200, ''),
            'late' => sleep(self::LATE_S),
            'never' => str_repeat('x', PHP_INT_MAX >> 8),
            'error' => throw new RuntimeException('the application fails on this update'),
        };
    }

    /** Answer the whole request so; what came before in it is applied. */
    private static function answer(int $status, string $body): never
    {
        http_response_code($status);
        echo $body;
        exit;
    }
}
