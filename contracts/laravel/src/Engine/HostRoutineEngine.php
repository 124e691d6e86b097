<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use Illuminate\Contracts\Container\Container;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Facade;
use LogicException;
use Symfony\Component\HttpFoundation\Request as SymfonyRequest;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Calls the application's own webhook routine, with a request that carries this update alone. */
final class HostRoutineEngine implements Engine
{
    /** @param string $vendorArgument "id" or "uid": the routine's second argument */
    public function __construct(
        private Container $container,
        private string $class,
        private string $method,
        private string $vendorArgument
    ) {
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $this->check();
        $request = $this->request($vendor, $update);
        $outer = $this->container->bound('request') ? $this->container->make('request') : null;
        $this->bind($request);
        try {
            $routine = $this->container->make($this->class);
            $argument = $this->vendorArgument === 'uid' ? $vendor->uid : $vendor->id;
            $routine->{$this->method}($request, $argument);
        } finally {
            if ($outer !== null) {
                $this->bind($outer);
            }
        }

        return Outcome::done();
    }

    /** Throw if there is no such routine. */
    public function check(): void
    {
        if (! class_exists($this->class) || ! method_exists($this->class, $this->method)) {
            throw new LogicException(
                "whatsapp-sidecar.host_routine: there is no {$this->class}::{$this->method}(); set"
                    . ' WHATSAPP_SIDECAR_HOST_CLASS and WHATSAPP_SIDECAR_HOST_METHOD to the routine that handles'
                    . ' a webhook'
            );
        }
    }

    private function request(Vendor $vendor, Update $update): Request
    {
        $server = ['CONTENT_TYPE' => 'application/json', 'HTTP_ACCEPT' => 'application/json'];

        $path = "/whatsapp-webhook/{$vendor->uid}";

        // As Laravel makes a request that came in, so that get() and input() read the JSON.
        return Request::createFromBase(
            SymfonyRequest::create($path, 'POST', [], [], [], $server, $update->body())
        );
    }

    /** Let request() and the facade return this one, for a routine that asks them. */
    private function bind(Request $request): void
    {
        $this->container->instance('request', $request);
        Facade::clearResolvedInstance('request');
    }
}
