"""Every fault that the simulators and chaos know, and by which code ``sidecar status`` names it.

A fault is named by what the simulator calls it: ``fault throttle``, ``outage black_hole``, ``media
cut``, ``php hang``, ``outside reset``, ``api 503``, ``suspend redis``, ``chaos cut``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidecar.ops.problem import Code
from simulator.backend.faults import FaultKind as PhpFault
from simulator.chaos.fault import API_FAULTS, PARTS, Kind
from simulator.cloud_api.fault import FaultKind
from simulator.cloud_api.media_fault import MediaFaultKind
from simulator.cloud_api.outage import OutageShape
from simulator.outages import network
from simulator.outside.faults import FaultKind as OutsideFault
from tests.system.status_world import World


@dataclass(frozen=True, slots=True)
class Unseen:
    """It is not named, and why that is right."""

    why: str


@dataclass(frozen=True, slots=True)
class As:
    """It looks like another one of the table."""

    fault: str


@dataclass(frozen=True, slots=True)
class Api:
    """The Cloud API does something to one vendor's campaign, until it is told to stop: an order to
    it, ``what`` and its fields. ``then`` are commands that a person gives once it has stopped, with
    the words NUMBER, ACCOUNT, VENDOR and CAMPAIGN in place of the victim's."""

    codes: tuple[Code, ...]
    what: str
    fields: dict[str, Any]
    then: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """A vendor's own webhook, or the AI, does something; with ``media``, the Cloud API does it to a
    picture that a customer sends."""

    codes: tuple[Code, ...]
    part: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfPhp:
    """PHP does something. With ``of_victim`` to one vendor's updates."""

    codes: tuple[Code, ...]
    fields: dict[str, Any]
    of_victim: bool = False


@dataclass(frozen=True, slots=True)
class OfPart:
    """A part is killed or suspended, until it is started again, or goes on. Of a process of which
    there are several, ``by_name``, its id is in the words."""

    codes: tuple[Code, ...]
    part: str
    suspended: bool = False
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Other:
    """Something else: how it begins and ends. ``settings`` are those of the command alone."""

    codes: tuple[Code, ...]
    begin: Callable[[World], None] = lambda world: None
    end: Callable[[World], None] = lambda world: None
    settings: tuple[tuple[str, str], ...] = ()


Row = Unseen | As | Api | Outside | OfPhp | OfPart | Other

_DOWN = (Code.CLOUD_API_DOWN,)
_SLOW = (Code.CLOUD_API_SLOW, Code.CLOUD_API_DOWN)
_HELD = (Code.NUMBER_HELD,)
_PAUSED = (Code.SENDING_PAUSED,)
_PHP = (Code.PHP_UNAVAILABLE, Code.PHP_BREAKER_OPEN)
_EFFECTS = (Code.EFFECTS_FAILING, Code.DEAD_LETTERS)
_SILENT = (Code.PROCESS_SILENT,)
_REDIS = (Code.REDIS_UNAVAILABLE,)

_LIFT = (("numbers", "lift", "NUMBER"),)
_RESUME = (("numbers", "resume", "VENDOR"), ("campaigns", "resume", "CAMPAIGN"))
_A_MOMENT = "it hits a few sends, which go again or are settled by a status, and is over"


def _fault(
    kind: FaultKind, *codes: Code, then: tuple[tuple[str, ...], ...] = (), **more: Any
) -> Api:
    return Api(codes or _DOWN, "faults", {"kind": kind.value, **more}, then)


def _error(code: int, *codes: Code, then: tuple[tuple[str, ...], ...] = ()) -> Api:
    return _fault(FaultKind.ERROR, *codes, then=then, code=code)


def _outage(shape: OutageShape, *codes: Code, **more: Any) -> Api:
    return Api(codes or _DOWN, "outages", {"shape": shape.value, **more})


def _webhook(kind: OutsideFault, **more: Any) -> Outside:
    return Outside(_EFFECTS, "vendor-webhook", {"kind": kind.value, **more})


def _ai(kind: OutsideFault) -> Outside:
    return Outside(_EFFECTS, "ai", {"kind": kind.value})


def _media(kind: MediaFaultKind, **more: Any) -> Outside:
    return Outside(_EFFECTS, "media", {"kind": kind.value, **more})


def _php(kind: PhpFault, **more: Any) -> OfPhp:
    return OfPhp(_PHP, {"kind": kind.value, **more})


def _remove_number(world: World) -> None:
    number = world.victims["chaos number"].number
    world.order("cloud-api", "numbers/remove", phone_number_id=number)


def _restore_number(world: World) -> None:
    victim = world.victims["chaos number"]
    world.order("cloud-api", "numbers/restore", phone_number_id=victim.number)
    assert victim.campaign is not None
    world.run("campaigns", "resume", victim.campaign.uid)


TABLE: dict[str, Row] = {
    "fault error": As("error 131000"),
    "error 131000": _error(131000),
    "error 131016": _error(131016),
    "error 131026": _error(
        131026, Code.ROWS_FAILING, then=(("campaigns", "retry-failed", "CAMPAIGN", "--yes"),)
    ),
    "error 132015": _error(
        132015, Code.CAMPAIGN_PAUSED, then=(("campaigns", "resume", "CAMPAIGN"),)
    ),
    "error 131031": _error(131031, *_PAUSED, then=_RESUME),
    "error 190": _error(190, *_PAUSED, then=_RESUME),
    "error 131057": _error(131057, *_HELD, then=_LIFT),
    "error 80007": _error(80007, *_HELD, then=(("numbers", "lift", "ACCOUNT"),)),
    "fault throttle": _fault(FaultKind.THROTTLE, *_HELD, then=_LIFT),
    "fault http_500": _fault(FaultKind.HTTP_500),
    "fault html_500": _fault(FaultKind.HTML_500),
    "fault http_503": _fault(FaultKind.HTTP_503),
    "fault reset_before_read": _fault(FaultKind.RESET_BEFORE_READ),
    "fault reset_after_accept": _fault(FaultKind.RESET_AFTER_ACCEPT),
    "fault timeout_after_accept": _fault(FaultKind.TIMEOUT_AFTER_ACCEPT),
    "fault slow": _fault(FaultKind.SLOW, *_SLOW, seconds=2.5),
    "fault garbage": _fault(FaultKind.GARBAGE, garbage="no content"),
    **{f"outage {shape}": _outage(shape) for shape in OutageShape if shape is not OutageShape.SLOW},
    "outage slow": _outage(OutageShape.SLOW, *_SLOW, answer_after_s=2.5),
    "media status": _media(MediaFaultKind.STATUS),
    "media slow": _media(MediaFaultKind.SLOW, seconds=30.0),
    "media cut": _media(MediaFaultKind.CUT),
    "media wrong_bytes": _media(MediaFaultKind.WRONG_BYTES),
    "media expired": _media(MediaFaultKind.EXPIRED),
    "outside status": _webhook(OutsideFault.STATUS, status=503),
    "outside hang": _webhook(OutsideFault.HANG),
    "outside reset": _webhook(OutsideFault.RESET),
    "outside slow": _webhook(OutsideFault.SLOW, seconds=30.0),
    "outside redirect": _webhook(OutsideFault.REDIRECT, location="http://127.0.0.1:9/"),
    "outside broken": _ai(OutsideFault.BROKEN),
    "outside empty": _ai(OutsideFault.EMPTY),
    "php http_500": _php(PhpFault.HTTP_500),
    "php html_500": _php(PhpFault.HTML_500),
    "php nonsense": _php(PhpFault.NONSENSE),
    "php empty": _php(PhpFault.EMPTY),
    "php close": _php(PhpFault.CLOSE),
    "php hang": _php(PhpFault.HANG),
    "php slow": As("php hang"),
    "php after_commit_close": _php(PhpFault.AFTER_COMMIT_CLOSE),
    "php update_error": OfPhp(
        (Code.UPDATES_REFUSED,), {"kind": PhpFault.UPDATE_ERROR.value}, of_victim=True
    ),
    "one endpoint of php": OfPhp(
        (Code.PHP_UNAVAILABLE,), {"kind": "http_500", "endpoint": "claim-messages"}
    ),
    **{f"api {name}": Unseen(_A_MOMENT) for name in API_FAULTS},
    "api 130429 storm": As("fault throttle"),
    "crash sidecar": OfPart(_SILENT, "sidecar-2", by_name=True),
    "suspend sidecar": OfPart(_SILENT, "sidecar", suspended=True, by_name=True),
    "crash worker-1": OfPart(_SILENT, "worker-1", by_name=True),
    "suspend worker-1": OfPart(_SILENT, "worker-2", suspended=True, by_name=True),
    "crash worker-2": As("crash worker-1"),
    "suspend worker-2": As("suspend worker-1"),
    "crash redis": OfPart(_REDIS, "redis"),
    "suspend redis": OfPart(_REDIS, "redis", suspended=True),
    "crash the wake-ups' redis": OfPart((Code.DRAMATIQ_UNAVAILABLE,), "dramatiq-redis"),
    "suspend the wake-ups' redis": OfPart(
        (Code.DRAMATIQ_UNAVAILABLE,), "dramatiq-redis", suspended=True
    ),
    "crash php-fpm": OfPart(_PHP, "backend"),
    "suspend php-fpm": OfPart(_PHP, "backend", suspended=True),
    "crash mariadb": As("php http_500"),
    "suspend mariadb": As("php hang"),
    "crash nginx": Other(
        (Code.PUBLIC_URL_UNAVAILABLE,), settings=(("SIDECAR_PUBLIC_URL", "http://127.0.0.1:9"),)
    ),
    "suspend nginx": As("crash nginx"),
    "chaos restart": Unseen("it signs off, and its successor runs at once"),
    "chaos refuse": OfPart(_DOWN, "cloud-api"),
    # make outages has each in the middle of a campaign, and holds status to naming it.
    **{f"network {shape}": As("chaos refuse") for shape in network.SHAPES},
    "chaos cut": Unseen(_A_MOMENT),
    "chaos stall": As("outage black_hole"),
    "chaos forget": Unseen("the reconciler wakes workers again, within a second"),
    "chaos pause": Unseen("somebody has asked for it; CAMPAIGNS shows it"),
    "chaos outage": As("outage html_502"),
    "chaos token": As("error 190"),
    "chaos rate": Unseen("somebody has asked for it; NUMBERS shows it"),
    "chaos number": Other(_PAUSED, _remove_number, _restore_number),
    "chaos opt out": Unseen("rows of people who have opted out are skipped, as they must be"),
    "chaos clock": Other((Code.CLOCKS_DIFFER,)),
    # Until another one is the primary. That there is no replica for the next time:
    # tests/sidecar/ops/test_reach.py.
    "chaos failover": As("crash redis"),
}

#: What chaos does to a part, or by one of its own tables, and so stands there under another name.
_OF_TABLES = {Kind.CRASH, Kind.SUSPEND, Kind.API}


def known_faults() -> set[str]:
    """Return what the simulators and chaos know, by the names that the table uses."""
    return {
        *(f"fault {kind}" for kind in FaultKind),
        *(f"outage {shape}" for shape in OutageShape),
        *(f"network {shape}" for shape in network.SHAPES),
        *(f"media {kind}" for kind in MediaFaultKind),
        *(f"php {kind}" for kind in PhpFault),
        *(f"outside {kind}" for kind in OutsideFault),
        *(f"api {name}" for name in API_FAULTS),
        *(f"{kind} {part}" for kind in (Kind.CRASH, Kind.SUSPEND) for part in PARTS),
        *(f"chaos {kind}" for kind in Kind if kind not in _OF_TABLES),
    }
