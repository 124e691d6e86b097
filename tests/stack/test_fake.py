"""``Sidecar::fake()`` in a real application: nothing leaves, whichever way it is asked for."""

from collections.abc import Iterator

import pytest

from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Vendor
from tests.stack.called_sidecar import CalledSidecar, called_sidecar
from tests.stack.php_code import SIDECAR, run_php

#: Calls by the facade, by a model that changes, and by the broadcast driver.
CALLS = """
    {sidecar}::sendCampaign('spring');
    {sidecar}::forward({id}, ['a' => 1]);
    App\\Models\\VendorSetting::forceCreate(
        ['_uid' => '{uid}', 'vendors__id' => {id}, 'name' => 'x', 'value' => '1']
    );
    Illuminate\\Support\\Facades\\Broadcast::connection('whatsapp-sidecar')
        ->broadcast(['private-vendor-channel.{uid}'], 'told');
"""


@pytest.fixture
def sidecar() -> Iterator[CalledSidecar]:
    with called_sidecar() as sidecar:
        sidecar.answers["/internal/campaigns/spring/send"] = {}
        yield sidecar


def test_nothing_leaves(backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar) -> None:
    calls = CALLS.format(sidecar=SIDECAR, id=vendor.id, uid=vendor.uid)
    code = f"""
        require 'PHPUnit/Autoload.php';
        {SIDECAR}::fake();
        {calls}
        {SIDECAR}::assertCampaignStarted('spring');
        {SIDECAR}::assertForwarded({vendor.id});
        {SIDECAR}::assertMessageNotSent();
        return {SIDECAR}::recorded('sendCampaign')->count();
    """
    application = backend.installation.application
    assert run_php(application, code, sidecar.variables) == 1
    assert sidecar.calls == []


def test_without_the_fake_each_of_them_calls(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    calls = CALLS.format(sidecar=SIDECAR, id=vendor.id, uid=vendor.uid)
    run_php(backend.installation.application, calls, sidecar.variables)
    assert [path for path, _ in sidecar.calls] == [
        "/internal/campaigns/spring/send",
        "/internal/effects",
        "/internal/effects",
        "/internal/invalidate",
    ]


def test_it_needs_no_settings(backend: LaravelBackend, vendor: Vendor) -> None:
    calls = CALLS.format(sidecar=SIDECAR, id=vendor.id, uid=vendor.uid)
    code = f"require 'PHPUnit/Autoload.php'; {SIDECAR}::fake(); {calls} return 'done';"
    variables = {"WHATSAPP_SIDECAR_KEYS": "", "WHATSAPP_SIDECAR_URL": ""}
    assert run_php(backend.installation.application, code, variables) == "done"
