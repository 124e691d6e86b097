<?php

declare(strict_types=1);

namespace App;

use Illuminate\Http\Exceptions\HttpResponseException;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Str;
use RuntimeException;
use WhatsappSidecar\Laravel\Facades\Sidecar;

/**
 * A webhook routine as applications have one: it looks at the first update alone, asks request() too,
 * and has faults on demand. What was network I/O in it are effects.
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
            '_uid' => $uid = (string) Str::uuid(),
            'created_at' => date('Y-m-d H:i:s'),
            'vendors__id' => $vendor,
            'contacts__id' => DB::table('contacts')->where('wa_id', $item['from'] ?? '')->value('_id'),
            'wamid' => $item['id'] ?? null,
            'is_incoming_message' => 1,
            'message' => request()->input('entry.0.changes.0.field') . ': ' . $text,
        ]);
        if ($text === 'fails') {
            DB::beginTransaction();
            throw new RuntimeException('the routine fails');
        }
        foreach (explode(';', $text) as $order) {
            $this->obey($order, $vendor, $item['from'] ?? '', $uid);
            $this->misbehave(trim($order), $vendor, $item['from'] ?? '');
        }
        if (str_contains($text, 'fails at the end')) {
            throw new RuntimeException('the routine fails at the end');
        }
    }

    /** Do what routines do that were written for a request of their own. */
    private function misbehave(string $order, int|string $vendor, string $from): void
    {
        match ($order) {
            'print' => self::print(),
            'exit' => exit('done'),
            'answer' => throw new HttpResponseException(response('done')),
            'refuse' => throw new HttpResponseException(response('no', 403)),
            'begin by statement' => DB::unprepared('START TRANSACTION'),
            'end a transaction' => DB::rollBack(),
            'link' => $this->obey('say ' . url('media/1'), $vendor, $from, ''),
            'roll back' => rescue(fn () => DB::transaction(function () use ($vendor, $from): void {
                $this->obey('say Two', $vendor, $from, '');
                throw new RuntimeException('it is rolled back');
            }), null, false),
            default => null,
        };
    }

    private static function print(): void
    {
        header('Content-Type: text/html');
        echo '<p>done</p>';
        ob_start();
        echo 'This stays open.';
    }

    private function obey(string $order, int|string $vendor, string $from, string $uid): void
    {
        [$verb, $what] = explode(' ', trim($order), 2) + [1 => ''];
        if ($verb === 'say') {
            Sidecar::sendMessage($vendor, $from, ['type' => 'text', 'text' => ['body' => $what]]);
        } elseif ($verb === 'match') {
            foreach (Sidecar::matchedBots() ?? [] as $match) {
                $message = ['type' => 'text', 'text' => ['body' => $match['trigger_type']]];
                Sidecar::sendMessage($vendor, $from, $message, key: $match['bot_uid']);
            }
        } elseif ($verb === 'ask') {
            Sidecar::aiReply($vendor, $uid, [['role' => 'user', 'content' => $what]], options: ['temperature' => 0]);
        } elseif ($verb === 'media') {
            Sidecar::sendMessage($vendor, $from, ['type' => 'text', 'text' => [
                'body' => json_encode(Sidecar::media($what)),
            ]]);
        } elseif ($verb === 'touch') {
            // It swallows whatever becomes of that.
            $touched = DB::table('vendors')->where('_id', (int) $what);
            rescue(fn () => $touched->update(['slug' => 'touched']), null, false);
        } elseif ($verb === 'forward') {
            Sidecar::forward($vendor);
        } elseif ($verb === 'broadcast') {
            Broadcast::connection('whatsapp-sidecar')->broadcast(['private-anything'], $what, ['text' => $what]);
        }
    }
}
