<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http;

use Closure;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Throwable;
use WhatsappSidecar\Laravel\Jobs\AiAnswers;
use WhatsappSidecar\Laravel\Jobs\Bots;
use WhatsappSidecar\Laravel\Jobs\ChangeModes;
use WhatsappSidecar\Laravel\Jobs\ClaimMessages;
use WhatsappSidecar\Laravel\Jobs\Diagnosis;
use WhatsappSidecar\Laravel\Jobs\DueCampaigns;
use WhatsappSidecar\Laravel\Jobs\Observe;
use WhatsappSidecar\Laravel\Jobs\PendingWebhooks;
use WhatsappSidecar\Laravel\Jobs\ProcessRawWebhook;
use WhatsappSidecar\Laravel\Jobs\ProcessUpdates;
use WhatsappSidecar\Laravel\Jobs\RecordResults;
use WhatsappSidecar\Laravel\Jobs\ReleaseMessages;
use WhatsappSidecar\Laravel\Jobs\ResolveMessages;
use WhatsappSidecar\Laravel\Jobs\StoreWebhooks;
use WhatsappSidecar\Laravel\Jobs\UnknownMessages;
use WhatsappSidecar\Laravel\Jobs\VendorConfig;

/** The signed endpoints under /internal. Each hands the exact body to one job. */
final class InternalController
{
    public function processWebhook(Request $request, string $vendorUid, ProcessRawWebhook $job): Response
    {
        return $this->answer(fn (): array => $job->run($vendorUid, $request->getContent()));
    }

    public function processWebhooks(Request $request, ProcessUpdates $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function storeWebhooks(Request $request, StoreWebhooks $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function pendingWebhooks(Request $request, PendingWebhooks $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function claimMessages(Request $request, ClaimMessages $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function releaseMessages(Request $request, ReleaseMessages $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function updateMessageStatus(Request $request, RecordResults $job): Response
    {
        return $this->answer(fn (): array => $job->runOne($request->getContent()));
    }

    public function updateMessageStatuses(Request $request, RecordResults $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function dueCampaigns(Request $request, DueCampaigns $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function unknownMessages(Request $request, UnknownMessages $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function resolveMessages(Request $request, ResolveMessages $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function vendorConfig(Request $request, VendorConfig $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function bots(Request $request, Bots $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function aiAnswers(Request $request, AiAnswers $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function diagnosis(Request $request, Diagnosis $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function modes(Request $request, ChangeModes $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    public function observe(Request $request, Observe $job): Response
    {
        return $this->answer(fn (): array => $job->run($request->getContent()));
    }

    /** @param Closure(): array<string, mixed> $job */
    private function answer(Closure $job): Response
    {
        try {
            return Answer::json($job());
        } catch (Refused $refused) {
            return Answer::error($refused->reason, $refused->getMessage(), $refused->status);
        } catch (Throwable $error) {
            report($error);

            return Answer::error('internal_error', 'the call failed; see the log of the application', 500);
        }
    }
}
