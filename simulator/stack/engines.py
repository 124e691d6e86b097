"""Who handles customers' messages in the reference application.

Unless told otherwise it is the package's own engine (``SchemaEngine``). An ordinary host has a
webhook route and a webhook routine of its own, which the package's default calls.
"""

#: What PHP sees of such a host (``php`` of
#: :class:`simulator.stack.installation.StackInstallation`).
HOST_ROUTINE = {
    "WHATSAPP_SIDECAR_ENGINE": r"WhatsappSidecar\Laravel\Engine\HostRoutineEngine",
    "WHATSAPP_SIDECAR_HOST_CLASS": r"App\WebhookRoutine",
    "WHATSAPP_SIDECAR_HOST_TRANSACTION": "true",
    "WHATSAPP_SIDECAR_FALLBACK_ROUTE": "false",
    "WHATSAPP_WEBHOOK_ROUTE": "true",
}

#: Odd payloads of which the routine knows less than the package's engine: corrections, the
#: business's own number, numbers in several forms, ids that are numbers or differ in their case.
BEYOND_THE_ROUTINE = frozenset(
    {
        *("edit", "revoke", "own number"),
        *("two forms of a number", "one person with and without a number"),
        *("numeric ids", "wamids that differ in case"),
    }
)
