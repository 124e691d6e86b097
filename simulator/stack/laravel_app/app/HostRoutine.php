<?php

declare(strict_types=1);

namespace App;

use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use RuntimeException;

/**
 * A webhook routine as applications have one: it looks at the first update alone, asks request() too,
 * and has faults on demand.
 */
final class HostRoutine
{
    public function processWebhookRequest(Request $request, int|string $vendor): void
    {
        $value = $request->get('entry')[0]['changes'][0]['value'];
        $item = $value['messages'][0] ?? $value['message_echoes'][0] ?? null;
        $text = $item['text']['body'] ?? '';
        if ($text === 'forgets its transaction') {
            DB::beginTransaction();
        }
        DB::table('whatsapp_message_logs')->insert([
            '_uid' => substr(sha1($text . random_bytes(8)), 0, 36),
            'created_at' => gmdate('Y-m-d H:i:s'),
            'vendors__id' => $vendor,
            'wamid' => $item['id'] ?? null,
            'is_incoming_message' => 1,
            'message' => request()->input('entry.0.changes.0.field') . ': ' . $text,
        ]);
        if ($text === 'fails') {
            DB::beginTransaction();
            throw new RuntimeException('the routine fails');
        }
    }
}
