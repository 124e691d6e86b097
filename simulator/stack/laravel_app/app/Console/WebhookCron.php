<?php

declare(strict_types=1);

namespace App\Console;

use App\Models\StoredWebhook;
use App\WebhookRoutine;
use Illuminate\Console\Command;
use Illuminate\Http\Request;
use Throwable;

/** The application's own webhook cron, of the kind that the sidecar replaces. */
final class WebhookCron extends Command
{
    protected $signature = 'webhook:process {--rows=25}';

    protected $description = 'Work off stored webhooks, the oldest first';

    public function handle(WebhookRoutine $routine): int
    {
        $rows = StoredWebhook::where('status', 'pending')->orderBy('_id')->limit((int) $this->option('rows'))->get();
        foreach ($rows as $row) {
            try {
                $server = ['CONTENT_TYPE' => 'application/json'];
                $request = Request::create('/', 'POST', [], [], [], $server, (string) $row->payload);
                $routine->processWebhookRequest($request, $row->vendors__id);
                $row->delete();
            } catch (Throwable $error) {
                // It stays pending, and is tried again.
                report($error);
            }
        }

        return 0;
    }
}
