<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use Illuminate\Contracts\Container\Container;
use Illuminate\Http\Exceptions\HttpResponseException;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Facade;
use LogicException;
use Symfony\Component\HttpFoundation\Request as SymfonyRequest;
use WhatsappSidecar\Laravel\Effects\KeptEffects;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Calls the application's own webhook routine, with a request that carries this update alone. */
final class HostRoutineEngine implements Engine
{
    /**
     * @param array{class: string, method: string, vendor: string, transaction: bool} $routine vendor is "id" or
     *     "uid": its second argument
     * @param string $url the application's, for what the routine makes of it
     */
    public function __construct(
        private Container $container,
        private Answering $answering,
        private KeptEffects $kept,
        private array $routine,
        private string $url
    ) {
    }

    /** Tell whether all that the routine does with one update is to be one transaction. */
    public function isAtomic(): bool
    {
        return $this->routine['transaction'];
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $this->check();
        $request = $this->request($vendor, $update);
        $outer = $this->container->bound('request') ? $this->container->make('request') : null;
        $level = ob_get_level();
        // What it prints is for whoever posts a webhook, and no part of the answer about many updates.
        ob_start(static fn (): string => '');
        $this->bind($request);
        try {
            $routine = $this->container->make($this->routine['class']);
            $argument = $this->routine['vendor'] === 'uid' ? $vendor->uid : $vendor->id;
            $routine->{$this->routine['method']}($request, $argument);
        } catch (HttpResponseException $end) {
            if ($end->getResponse()->getStatusCode() >= 400) {
                throw $end;
            }
        } finally {
            while (ob_get_level() > $level) {
                ob_end_clean();
            }
            if ($outer !== null) {
                $this->bind($outer);
            }
        }

        $this->keepRefusal($vendor, $update);

        return Outcome::done();
    }

    /** The routine does not say in its row what AnswerBatch has to know. */
    private function keepRefusal(Vendor $vendor, Update $update): void
    {
        $part = $update->part;
        $reason = $part->kind === 'message' ? $this->answering->refusal($part->item) : null;
        if ($reason !== null && $part->wamid() !== null) {
            $this->kept->keepRefusal($vendor, $part->wamid(), $reason);
        }
    }

    /** Throw if there is no such routine. */
    public function check(): void
    {
        ['class' => $class, 'method' => $method] = $this->routine;
        if (! class_exists($class) || ! method_exists($class, $method)) {
            throw new LogicException(
                "whatsapp-sidecar.host_routine: there is no {$class}::{$method}(); set"
                    . ' WHATSAPP_SIDECAR_HOST_CLASS and WHATSAPP_SIDECAR_HOST_METHOD to the routine that handles'
                    . ' a webhook'
            );
        }
    }

    private function request(Vendor $vendor, Update $update): Request
    {
        $url = rtrim($this->url, '/');
        $script = parse_url($url, PHP_URL_PATH) . '/index.php';
        $server = [
            'CONTENT_TYPE' => 'application/json',
            'HTTP_ACCEPT' => 'application/json',
            'SCRIPT_NAME' => $script,
            'SCRIPT_FILENAME' => $script,
        ];

        $url .= "/whatsapp-webhook/{$vendor->uid}";

        // As Laravel makes a request that came in, so that get() and input() read the JSON.
        return Request::createFromBase(
            SymfonyRequest::create($url, 'POST', [], [], [], $server, $update->body())
        );
    }

    /** Let request() and the facade return this one, for a routine that asks them. */
    private function bind(Request $request): void
    {
        $this->container->instance('request', $request);
        Facade::clearResolvedInstance('request');
    }
}
