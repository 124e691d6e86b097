<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Http\Controllers;

use Closure;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Throwable;
use WhatsappSidecar\Laravel\Actions\ChangeModes;
use WhatsappSidecar\Laravel\Actions\ClaimMessages;
use WhatsappSidecar\Laravel\Actions\Diagnose;
use WhatsappSidecar\Laravel\Actions\Find;
use WhatsappSidecar\Laravel\Actions\KeepEpoch;
use WhatsappSidecar\Laravel\Actions\ListBots;
use WhatsappSidecar\Laravel\Actions\ListDueCampaigns;
use WhatsappSidecar\Laravel\Actions\ListPendingEffects;
use WhatsappSidecar\Laravel\Actions\ListPendingWebhooks;
use WhatsappSidecar\Laravel\Actions\ListUnknownMessages;
use WhatsappSidecar\Laravel\Actions\ObserveMessages;
use WhatsappSidecar\Laravel\Actions\PreviewMessages;
use WhatsappSidecar\Laravel\Actions\ProcessRawWebhook;
use WhatsappSidecar\Laravel\Actions\ProcessUpdates;
use WhatsappSidecar\Laravel\Actions\ReadVendorConfig;
use WhatsappSidecar\Laravel\Actions\RecordAiAnswers;
use WhatsappSidecar\Laravel\Actions\RecordMedia;
use WhatsappSidecar\Laravel\Actions\RecordResults;
use WhatsappSidecar\Laravel\Actions\ReleaseMessages;
use WhatsappSidecar\Laravel\Actions\ResolveMessages;
use WhatsappSidecar\Laravel\Actions\RetryMessages;
use WhatsappSidecar\Laravel\Actions\StoreWebhooks;
use WhatsappSidecar\Laravel\Http\Answer;
use WhatsappSidecar\Laravel\Http\Refused;

/** The signed endpoints under /internal. Each hands the exact body to one action. */
final class InternalController
{
    public function processWebhook(Request $request, string $vendorUid, ProcessRawWebhook $action): Response
    {
        return $this->answer(fn (): array => $action->handle($vendorUid, $request->getContent()));
    }

    public function processWebhooks(Request $request, ProcessUpdates $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function storeWebhooks(Request $request, StoreWebhooks $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function pendingWebhooks(Request $request, ListPendingWebhooks $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function claimMessages(Request $request, ClaimMessages $action, KeepEpoch $epoch): Response
    {
        return $this->carrying($request, $epoch, fn (): array => $action->handle($request->getContent()));
    }

    public function releaseMessages(Request $request, ReleaseMessages $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function updateMessageStatus(Request $request, RecordResults $action, KeepEpoch $epoch): Response
    {
        return $this->carrying($request, $epoch, fn (): array => $action->handleOne($request->getContent()));
    }

    public function updateMessageStatuses(Request $request, RecordResults $action, KeepEpoch $epoch): Response
    {
        return $this->carrying($request, $epoch, fn (): array => $action->handle($request->getContent()));
    }

    public function dueCampaigns(Request $request, ListDueCampaigns $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function unknownMessages(Request $request, ListUnknownMessages $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function retryMessages(Request $request, RetryMessages $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function resolveMessages(Request $request, ResolveMessages $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function epoch(Request $request, KeepEpoch $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function vendorConfig(Request $request, ReadVendorConfig $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function bots(Request $request, ListBots $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function aiAnswers(Request $request, RecordAiAnswers $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function pendingEffects(Request $request, ListPendingEffects $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function media(Request $request, RecordMedia $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function diagnosis(Request $request, Diagnose $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function find(Request $request, Find $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function modes(Request $request, ChangeModes $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function observe(Request $request, ObserveMessages $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    public function previewMessages(Request $request, PreviewMessages $action): Response
    {
        return $this->answer(fn (): array => $action->handle($request->getContent()));
    }

    /**
     * Answer a call that may carry the epoch of Redis.
     *
     * @param Closure(): array<string, mixed> $action
     */
    private function carrying(Request $request, KeepEpoch $epoch, Closure $action): Response
    {
        return $this->answer(function () use ($request, $epoch, $action): array {
            $epoch->carried($request->query());

            return $action();
        });
    }

    /** @param Closure(): array<string, mixed> $action */
    private function answer(Closure $action): Response
    {
        try {
            return Answer::json($action());
        } catch (Refused $refused) {
            return Answer::error($refused->reason, $refused->getMessage(), $refused->status);
        } catch (Throwable $error) {
            report($error);

            return Answer::error('internal_error', 'the call failed; see the log of the application', 500);
        }
    }
}
