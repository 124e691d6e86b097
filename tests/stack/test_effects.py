"""Effects that the application's own code asks for."""

import base64
import copy
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from contracts.backend import MEDIA
from contracts.effects import (
    AiReply,
    Broadcast,
    FetchMedia,
    Forward,
    ForwardTarget,
    SendMessage,
    parse_effect,
)
from simulator.backend.seed_bots import SeedBot
from simulator.stack.application import APPLICATION, Application
from simulator.stack.nginx import NO_SIDECAR, Nginx
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import (
    change,
    message,
    message_object,
    status,
    status_object,
    to_ms,
)
from tests.contract.talk import CUSTOMER, effects_of, log, says, sends, sent, texts
from tests.contract.under_test import Row, Vendor
from tests.stack.called_sidecar import CalledSidecar
from tests.stack.php_code import SIDECAR, run_php

EFFECTS = "/internal/effects"


@pytest.fixture(scope="module")
def application(backend: LaravelBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application with its own webhook routine, on the same database. Gives its address."""
    folder: Path = tmp_path_factory.mktemp("host")
    variables = {
        **backend.installation.application.variables,
        "WHATSAPP_SIDECAR_ENGINE": r"WhatsappSidecar\Laravel\Engine\HostRoutineEngine",
        "WHATSAPP_SIDECAR_HOST_CLASS": r"App\HostRoutine",
    }
    with (
        Application(folder / "php", variables, workers=1) as php,
        Nginx(
            folder / "nginx",
            sidecar=NO_SIDECAR,
            php=f"unix:{php.socket}",
            root=APPLICATION / "public",
        ) as nginx,
    ):
        yield nginx.internal_url


@pytest.fixture
async def host(backend: LaravelBackend, application: str) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        behind_it = copy.copy(backend)
        behind_it.base_url = application
        yield Caller(behind_it, session)


@pytest.fixture
async def known(caller: Caller, vendor: Vendor) -> Vendor:
    """A vendor to whom the customer has written before."""
    await caller.process(says(vendor, "Hi"))
    return vendor


def _outgoing(backend: LaravelBackend, vendor: Vendor) -> list[Row]:
    return backend.rows("whatsapp_message_logs", vendors__id=vendor.id, is_incoming_message=0)


async def test_the_routines_messages_go_out_with_its_update(
    host: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    (result,) = await host.process(says(known, "say One; say Two; say One"))
    replies = sends(result)
    assert texts(replies) == ["One", "Two", "One"]
    assert len({uuid.UUID(reply.id) for reply in replies}) == 3
    assert {reply.to for reply in replies} == {CUSTOMER}
    rows = _outgoing(backend, known)
    assert [row["_uid"] for row in rows] == [reply.id for reply in replies]
    assert [row["message"] for row in rows] == ["One", "Two", "One"]
    contact = backend.rows("contacts", vendors__id=known.id)[0]
    assert {(row["status"], row["contacts__id"]) for row in rows} == {("pending", contact["_id"])}
    assert rows[0]["__data"]["effect"] == result.effects[0]


async def test_a_repeated_update_brings_them_again(host: Caller, known: Vendor) -> None:
    update = says(known, "say One; forward; say Two; broadcast told")
    (first,) = await host.process(update)
    assert [type(effect) for effect in effects_of(first)] == [
        SendMessage,
        Forward,
        SendMessage,
        Broadcast,
    ]
    (again,) = await host.process({**update, "attempt": 2})
    assert effects_of(again) == effects_of(first)
    await host.report(sent(known, first.effects[0]["id"]))
    (late,) = await host.process({**update, "attempt": 3})
    assert effects_of(late) == effects_of(first)[1:]


async def test_a_routine_that_fails_late_has_said_what_it_said(
    host: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    """Its message is in the log then, so it is not called again."""
    update = says(known, "say One; or fails at the end")
    (first,) = await host.process(update)
    assert (first.result, first.effects) == ("retry", [])
    (again,) = await host.process({**update, "attempt": 2})
    assert texts(sends(again)) == ["One"]
    assert len(_outgoing(backend, known)) == 1


async def test_a_routine_asks_for_the_bots_that_match(
    host: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    first, second = backend.seed_bots(known, SeedBot("is", "match"), SeedBot("contains", "m"))
    matches = [(second, "contains"), (first, "is")]
    (result,) = await host.process(says(known, "match", matches))
    assert texts(sends(result)) == ["contains", "is"]
    (without,) = await host.process(says(known, "match", None))
    assert sends(without) == []


async def test_a_routine_asks_an_ai(
    host: Caller, backend: LaravelBackend, known: Vendor, caller: Caller
) -> None:
    backend.set_setting(known, "ai_providers", '[{"name": "main", "url": "http://127.0.0.1:1"}]')
    (result,) = await host.process(says(known, "ask Do you ship?"))
    (question,) = effects_of(result)
    assert isinstance(question, AiReply)
    assert (question.provider, question.options) == ("main", {"temperature": 0})
    assert [(one.role, one.content) for one in question.messages] == [("user", "Do you ship?")]
    answer = {"id": question.id, "vendor_uid": known.uid, "outcome": "answered", "at": 1}
    taken = await caller.call("/internal/ai-answers", {"answers": [{**answer, "text": "Yes."}]})
    effect = parse_effect(taken["results"][0]["effects"][0])
    assert isinstance(effect, SendMessage)
    assert effect.message["text"]["body"] == "Yes."


def _told(backend: LaravelBackend, vendor: Vendor) -> list[Any]:
    """Return what the routine was told of media, the latest last."""
    rows = backend.rows("whatsapp_message_logs", vendors__id=vendor.id, is_incoming_message=0)
    return [orjson.loads(row["message"]) for row in rows]


async def test_a_routine_asks_for_media(
    host: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    media = {"id": "77", "mime_type": "video/mp4", "sha256": "c2g=", "filename": "a.mp4"}
    update = says(known, "media 77; media 77; media 78", type="video", video=media)
    (result,) = await host.process(update)
    [fetch] = [effect for effect in effects_of(result) if isinstance(effect, FetchMedia)]
    assert (fetch.media_id, fetch.type, fetch.mime_type) == ("77", "video", "video/mp4")
    assert (fetch.sha256, fetch.filename) == ("c2g=", "a.mp4")
    first, second, other = _told(backend, known)
    assert first["state"] == "requested"
    assert (first["id"], first["mime_type"], first["file"]) == ("77", "video/mp4", None)
    assert (second, other) == (first, None)
    (again,) = await host.process({**update, "attempt": 2})
    assert fetch in effects_of(again)
    report = {
        "id": fetch.id,
        "vendor_uid": known.uid,
        "media_id": "77",
        "wamid": fetch.wamid,
        "state": "stored",
        "path": f"{known.uid}/2026-11/x.mp4",
        "bytes": 7,
        "at": 1,
    }
    await host.call(MEDIA, {"media": [report]})
    (done,) = await host.process({**update, "attempt": 3})
    assert fetch not in effects_of(done)
    [row] = [
        one
        for one in backend.rows("whatsapp_message_logs", vendors__id=known.id)
        if one["wamid"] == fetch.wamid
    ]
    found = run_php(backend.installation.application, f"return {SIDECAR}::media('{row['_uid']}');")
    folder = backend.installation.folder / "media"
    assert (found["state"], found["bytes"]) == ("stored", 7)
    assert found["file"] == str(folder / known.uid / "2026-11" / "x.mp4")


async def test_without_a_folder_none_is_asked_for(
    host: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    code = (
        "$app->instance(WhatsappSidecar\\Laravel\\Media\\Folder::class,"
        " new WhatsappSidecar\\Laravel\\Media\\Folder(''));"
        f" return {SIDECAR}::media('77');"
    )
    assert run_php(backend.installation.application, code) is None


async def test_a_path_that_leads_elsewhere_is_no_file(backend: LaravelBackend) -> None:
    folder = "(new WhatsappSidecar\\Laravel\\Media\\Folder('/media/'))"
    for path in ("../../etc/passwd", "v/2026-11/../x.mp4", "/etc/passwd", "v/2026-11/x.mp4\n"):
        code = f"return {folder}->file({orjson.dumps(path).decode()});"
        assert run_php(backend.installation.application, code) is None
    code = f"return {folder}->file('v/2026-11/x.mp4');"
    found = run_php(backend.installation.application, code)
    assert found == "/media/v/2026-11/x.mp4"


async def test_media_outside_of_an_update_is_posted(
    backend: LaravelBackend, known: Vendor, sidecar: CalledSidecar
) -> None:
    code = f"return {SIDECAR}::fetchMedia('{known.uid}', 'wamid.old', ['id' => '9']);"
    ids = [run_php(backend.installation.application, code, sidecar.variables) for _ in range(2)]
    posted = [body["effects"][0] for body in sidecar.called(EFFECTS)]
    assert ids[0] == ids[1]
    assert {effect["id"] for effect in posted} == {ids[0]}
    assert parse_effect(posted[0]) == FetchMedia(
        id=ids[0], media_id="9", wamid="wamid.old", type="document"
    )


async def test_of_a_routines_updates_only_statuses_are_forwarded_unasked(
    host: Caller, backend: LaravelBackend, known: Vendor
) -> None:
    """The routine may post by itself, or asks for it."""
    backend.seed_effects(known, forward=ForwardTarget(url="http://127.0.0.1:2/hook"))
    read = status(known, status_object("wamid.unknown", "read"), received_at=0)
    quality = change(known, "phone_number_quality_update", {"event": "ONBOARDING"})
    updates = says(known, "Hi"), quality, says(known, "forward"), read
    results = [(await host.process(update))[0] for update in updates]
    found = [[parse_effect(effect) for effect in result.effects] for result in results]
    kinds = [[type(effect) for effect in effects] for effects in found]
    assert kinds == [[], [], [Forward], [Forward]]
    assert results[-1].result == "ignored"


async def test_a_body_that_is_a_text_is_posted_as_it_is(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    code = f"""{SIDECAR}::forward('{vendor.uid}', '{{"n": 18446744073709551617, "x":1.0}}');"""
    run_php(backend.installation.application, code, sidecar.variables)
    [body] = sidecar.called(EFFECTS)
    [effect] = map(parse_effect, body["effects"])
    assert effect == Forward(id=str(effect.id), raw='{"n": 18446744073709551617, "x":1.0}')


@pytest.mark.parametrize(("setting", "opted_out"), [("off", False), ("on", True)])
async def test_a_setting_leaves_preferences_alone(
    backend: LaravelBackend, known: Vendor, setting: str, opted_out: bool
) -> None:
    said = {"wa_id": CUSTOMER, "category": "marketing_messages", "value": "stop", "timestamp": 1}
    update = change(known, "user_preferences", {"user_preferences": [said]})
    action = "WhatsappSidecar\\Laravel\\Actions\\ProcessUpdates"
    body = _base64({"updates": [update]})
    code = f"return $app->make({action}::class)->handle(base64_decode('{body}'));"
    variables = {"WHATSAPP_SIDECAR_MARKETING_PREFERENCES": setting}
    [result] = run_php(backend.installation.application, code, variables)["results"]
    assert result["result"] == ("done" if opted_out else "ignored")
    [contact] = backend.rows("contacts", vendors__id=known.id)
    assert bool(contact["whatsapp_opt_out"]) == opted_out


def _base64(value: Any) -> str:
    return base64.b64encode(orjson.dumps(value)).decode()


async def test_a_routines_broadcast_is_its_vendors(host: Caller, known: Vendor) -> None:
    (result,) = await host.process(says(known, "broadcast told"))
    (effect,) = effects_of(result)
    assert isinstance(effect, Broadcast)
    assert (effect.channels, effect.event) == (["private-anything"], "told")


def _message(vendor: Vendor, more: str = "") -> str:
    body = "['type' => 'text', 'text' => ['body' => 'Hello.']]"
    return f"{SIDECAR}::sendMessage('{vendor.uid}', '+{CUSTOMER}', {body}{more})"


def _attempt(code: str) -> str:
    error = "WhatsappSidecar\\Laravel\\Client\\SidecarError"
    return f"try {{ {code}; }} catch ({error} $error) {{ return $error->getMessage(); }}"


async def test_outside_of_an_update_a_message_is_posted(
    backend: LaravelBackend, known: Vendor, sidecar: CalledSidecar
) -> None:
    code = "return " + _message(known, ", columns: ['messaged_by_users__id' => 7]") + ";"
    uid = run_php(backend.installation.application, code, sidecar.variables)
    (body,) = sidecar.called(EFFECTS)
    (effect,) = body["effects"]
    assert (body["vendor_uid"], effect["id"], effect["to"]) == (known.uid, uid, CUSTOMER)
    (row,) = _outgoing(backend, known)
    assert (row["_uid"], row["status"], row["messaged_by_users__id"]) == (uid, "pending", 7)
    assert row["contacts__id"] == backend.rows("contacts", vendors__id=known.id)[0]["_id"]


@pytest.mark.parametrize("user", ["GB.1349", "BR.ENT." + "A1b2C3d4" * 16])
async def test_a_message_to_a_user_id(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar, user: str
) -> None:
    await caller.process(message(vendor, message_object("wamid.a", None, from_user_id=user)))
    code = "return " + _message(vendor).replace(f"+{CUSTOMER}", user) + ";"
    uid = run_php(backend.installation.application, code, sidecar.variables)
    (body,) = sidecar.called(EFFECTS)
    (effect,) = body["effects"]
    assert (effect["id"], effect.get("to"), effect["recipient"]) == (uid, None, user)
    (row,) = _outgoing(backend, vendor)
    assert (row["_uid"], row["contact_wa_id"]) == (uid, None)
    assert row["contacts__id"] == backend.rows("contacts", vendors__id=vendor.id)[0]["_id"]


@pytest.mark.parametrize("whom", ["", "nobody", "GB.", "12a45"])
async def test_a_message_to_nobody_is_refused(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar, whom: str
) -> None:
    call = _message(vendor).replace(f"+{CUSTOMER}", whom)
    code = f"try {{ {call}; }} catch (InvalidArgumentException $error) {{ return 'refused'; }}"
    assert run_php(backend.installation.application, code, sidecar.variables) == "refused"
    assert sidecar.calls == []


async def test_it_is_posted_after_the_transaction(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    database = "Illuminate\\Support\\Facades\\DB"
    rolled_back = f"{database}::beginTransaction(); {_message(vendor)}; {database}::rollBack();"
    run_php(backend.installation.application, rolled_back, sidecar.variables)
    assert sidecar.calls == []
    assert _outgoing(backend, vendor) == []
    committed = f"{database}::transaction(fn () => {_message(vendor)});"
    run_php(backend.installation.application, committed, sidecar.variables)
    assert len(sidecar.called(EFFECTS)) == len(_outgoing(backend, vendor)) == 1


async def test_a_key_makes_it_one_message(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    application = backend.installation.application
    code = "return " + _message(vendor, ", key: 'order 7'") + ";"
    first, second = (run_php(application, code, sidecar.variables) for _ in range(2))
    assert first == second
    asked, again = (body["effects"][0] for body in sidecar.called(EFFECTS))
    assert asked["id"] == again["id"] == first
    (row,) = _outgoing(backend, vendor)
    assert again == {**asked, "asked_at": to_ms(row["created_at"])}, "it was asked for before"
    await caller.report(sent(vendor, first))
    assert run_php(application, code, sidecar.variables) == first
    assert len(sidecar.called(EFFECTS)) == 2


async def test_a_refused_message_has_failed(
    caller: Caller, backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    del sidecar.answers[EFFECTS]
    code = _attempt(_message(vendor))
    message = run_php(backend.installation.application, code, sidecar.variables)
    assert "it says no" in message
    (row,) = _outgoing(backend, vendor)
    assert row["status"] == "failed"
    assert "it says no" in row["__data"]["error"]["message"]


async def test_a_message_that_may_have_been_taken_stays_pending(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    message = run_php(backend.installation.application, _attempt(_message(vendor)))
    assert "does not answer" in message
    (row,) = _outgoing(backend, vendor)
    assert log(caller, row["_uid"])["status"] == "pending"


async def test_a_question_needs_its_message(backend: LaravelBackend, vendor: Vendor) -> None:
    backend.set_setting(vendor, "ai_providers", '[{"name": "main", "url": "http://127.0.0.1:1"}]')
    code = f"""
        try {{ {SIDECAR}::aiReply('{vendor.uid}', 'nothing', []); }}
        catch (InvalidArgumentException $error) {{ return $error->getMessage(); }}
    """
    assert "'nothing'" in run_php(backend.installation.application, code)


MATCH = "/match-bot"


def _match(vendor: Vendor, message: str, facts: str = "[]") -> str:
    return f"return {SIDECAR}::matchBots('{message}', {vendor.id}, {facts});"


def _uids(matches: list[dict[str, Any]]) -> list[str]:
    return [match["bot_uid"] for match in matches]


async def test_the_sidecar_is_asked_for_bots(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    match = {"bot_uid": "b", "trigger_type": "is", "trigger": "hi"}
    sidecar.answers[MATCH] = {"bot": match, "matches": [match]}
    code = _match(vendor, "Hi", "['incoming_24h' => 1]")
    matches = run_php(backend.installation.application, code, sidecar.variables)
    assert matches == [match]
    assert sidecar.called(MATCH) == [
        {"message": "Hi", "vendorId": vendor.id, "contact": {"incoming_24h": 1}}
    ]


async def test_without_a_sidecar_php_looks_itself(backend: LaravelBackend, vendor: Vendor) -> None:
    hello, shoes = backend.seed_bots(
        vendor, SeedBot("welcome", None, "Hi"), SeedBot("starts_with", "shoe", "Yes")
    )
    application = backend.installation.application
    first = run_php(application, _match(vendor, "Shoes?", "['incoming_24h' => 1]"))
    assert _uids(first) == [hello, shoes]
    assert _uids(run_php(application, _match(vendor, "Shoes?"))) == [shoes]
    facts = "['disable_reply_bot' => true]"
    assert run_php(application, _match(vendor, "Shoes?", facts)) == []
    assert "Bots are matched by PHP" in application.logged()
