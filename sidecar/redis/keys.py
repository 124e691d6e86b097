"""Every Redis key of the sidecar, and what is behind it. Dramatiq has a database of its own.

| key | type | what |
|---|---|---|
| inbox:{lane}:{vendor} | stream | webhooks that wait; an entry is one group commit |
| ready:{lane} | set | vendors whose stream in this lane is not empty |
| waiting:{lane} | hash | how many webhooks are in each vendor's stream |
| cursor:{lane} | hash | how far the first entry of a vendor's stream is processed |
| crashes:{lane}:{partition} | hash | drains that have not ended (workers/inbox/crash_loop.py) |
| begun:{lane}:{partition} | set | fencing tokens of drains that have neither committed nor ended |
| bell:{lane} | list | a ring for a drain that has nothing left to do |
| partitions:{lane} | string | how many there are, if not one (sidecar/inbox/partitions.py) |
| lease:{name} | string | the fencing token of whoever holds it |
| fence:{name} | string | the last fencing token that was given out; expires |
| deferred:{lane} | sorted set | order keys, by when their first update is due (unix ms) |
| deferred:{lane}:{order key} | list | updates that wait, the first one alone |
| dead:vendors | sorted set | vendors that have dead letters, by the bytes of these |
| dead:letters:{vendor} | hash | dead letters by id |
| dead:updates:{vendor} | sorted set | ids of updates, by when they were given up (unix ms) |
| dead:effects:{vendor} | sorted set | ids of effects, by when they were given up (unix ms) |
| ignored | sorted set | vendors with ignored updates, by when the last was ignored (unix ms) |
| ignored:{vendor} | hash | how many by reason, and when last (sidecar/inbox/ignored.py); expires |
| ignored:{vendor}:last | hash | the last one of each reason; expires |
| ignored:at:{slice} | hash | customers' messages of some minutes, by vendor and reason; expires |
| dedup:{slice}:{bucket} | set | marks of messages that PHP has (sidecar/redis/marks.py); expires |
| status:times:{bucket} | string | when statuses were set (sidecar/inbox/status_times.py); expires |
| count:{vendor} | hash | the counters of the accounting (sidecar/ops/accounting.py) |
| vendors | set | vendors that have counters |
| nonces:since | string | since when the following are there (unix ms) |
| nonce:{nonce} | string | an internal call that was accepted; expires |
| backend:ok | string | when PHP last took a batch (unix ms) |
| campaigns | hash | campaigns that are to be sent: uid -> vendor uid |
| ledger:{campaign} | hash | rows that were claimed and whose outcome PHP does not have yet |
| ledgers | hash | campaigns whose ledger is not empty: uid -> vendor uid |
| rows | hash | the ledger in which a row stands: row -> campaign |
| claims:{campaign} | hash | claims that were asked for: uid -> unix ms |
| halt:{campaign} | string | paused or cancelled: no slots (sidecar/sending/halts.py); expires |
| metrics | hash | what all processes have counted and timed (sidecar/metrics.py) |
| processes | set | ids of processes that run, or died without a word |
| process:{id} | string | what one of them last said of itself; expires (sidecar/ops/publisher.py) |
| published:{id} | string | the number of what it last added to metrics; expires |
| errors:{campaign}:{path} | string | how many errors came in a row; expires |
| pauses | hash | what a person must resume (sidecar/sending/pauses.py) |
| lifted:{scope}:{id} | string | when a person had it tried again (unix ms); expires |
| suppressed:{vendor}:{recipient} | string | why it gets nothing for a while; expires |
| wait:{campaign} | string | why it can send nothing for long (a hold, a budget); expires |
| clock | string | what Redis's clock said last (lua/sending/waits.lua), microseconds |
| blocked:{campaign} | string | why it gets no slots now (a hold, an outage, a budget); expires |
| number:{number} | hash | its next slot, rate and hold (sidecar/sending/numbers.py); expires |
| outage:{number} | hash | the Cloud API is down, or was (lua/sending/outage.lua); expires |
| numbers | sorted set | number:* of a day, by when slots were last asked for (microseconds) |
| turns:{number} | sorted set | campaigns, until when they have had their share; expires |
| wanting:{number} | sorted set | campaigns that want more slots, until when that counts; expires |
| pair:{number}:{recipient} | string | when it may have more (lua/sending/grant.lua); expires |
| hold:{scope}:{id} | hash | an account or app that is held (lua/sending/hold.lua); expires |
| recipients:{portfolio} | sorted set | recipients of 24 hours, by their last slot; expires |
| notify:events | hash | problems that people are told of (sidecar/ops/notifications.py) |
| notify:targets | hash | targets of notifications that fail, and what was dropped |
| notify:queue:{target} | list | notifications that a target has not taken yet |
| outbox:{kind} | set | vendors that have effects of this kind |
| outbox:{kind}:{vendor} | sorted set | ids of effects, by when they are due (unix ms) |
| effects:{kind}:{vendor} | hash | effects by id (sidecar/effects/outbox.py) |
| effect:{slice}:{bucket} | set | effects that were taken (sidecar/redis/marks.py); expires |
| urgent:{number} | string | replies that want slots of it, before any campaign; expires |
| chosen:{what}:{token} | list | what somebody is asked about in the console; expires |
| probe | string | a write that only tells whether writes are taken; expires |
| check:{token} | string | a sidecar check --deep that runs (sidecar/http/routes/ping.py); expires |
| history:{series} | string | the last hour and day of it (sidecar/ops/history.py) |
| history:counts | hash | what had been counted when that was last written |
| audit | stream | who did what, and when (sidecar/ops/audit.py) |
| config:version | string | the id of the last change of configuration |
| config:changes | stream | the last changes that PHP announced (sidecar/php/config_feed.py) |
| shadowed | set | vendors that have something of the following |
| shadow:{vendor} | stream | webhooks of PHP, to be compared (sidecar/shadow/recorder.py) |
| shadow:{vendor}:bytes | string | how many bytes of webhooks are in it |
| planned:{vendor} | hash | what the sidecar would make of messages, by wamid |
| planned:{vendor}:due | sorted set | wamids, by when PHP is asked for them (unix ms) |
| planned:{vendor}:known | sorted set | wamids that are compared, by when (unix ms) |
| parity:{vendor} | hash | when webhooks were recorded and dropped (unix ms); expires |
| parity:{vendor}:{day} | hash | what was compared that day, by kind and class; expires |
| parity:{vendor}:{kind}:{class} | list | the last examples, the newest first; expires |
| console:users | hash | who may sign in with a password (sidecar/console/users.py) |
| console:session:{session} | string | who is signed in (sidecar/console/sessions.py); expires |
| console:sessions | sorted set | these, by when they end at the latest (unix ms) |
| console:tries:{scope}:{id} | string | tries to sign in (sidecar/console/attempts.py); expires |
| console:known:{id} | set | networks that somebody has signed in from; expires |

What bounds each, and about how many bytes of Redis's memory a unit of it takes. Where that is
``memory``, no more comes in when inbox_memory_share of Redis's memory is used, or
vendor_memory_share of that by one vendor (sidecar/redis/memory_guard.py).

| key | bound | bytes each |
|---|---|---|
| inbox:{lane}:{vendor} | memory | 1.2 x body + 60 |
| ready:{lane} | vendors whose webhooks wait | 100 |
| waiting:{lane} | vendors whose webhooks wait | 100 |
| cursor:{lane} | vendors whose webhooks wait | 120 |
| crashes:{lane}:{partition} | 3 fields for each of 16 | 250 |
| begun:{lane}:{partition} | crash_loop_threshold for each of 16 | 80 |
| partitions:{lane} | 2 | 80 |
| bell:{lane} | 2 | 80 |
| lease:{name} | lanes, campaigns and vendors at work; for lease_ttl_ms | 130 |
| fence:{name} | lanes, campaigns and vendors that were at work within a week | 140 |
| deferred:{lane} | memory | 150 |
| deferred:{lane}:{order key} | memory | 1.2 x update + 100 |
| dead:vendors | vendors with dead letters | 120 |
| dead:letters:{vendor} | dead_letters_limit, _bytes and _days, each vendor | 1.25 x letter + 100 |
| dead:updates:{vendor} | the same | 200 |
| dead:effects:{vendor} | the same | 200 |
| ignored | MAX_VENDORS (sidecar/inbox/ignored.py) | 120 |
| ignored:{vendor} | the same, MAX_REASONS of each | 2,500 |
| ignored:{vendor}:last | the same, MAX_PAYLOAD_BYTES of each | 60,000 |
| ignored:at:{slice} | 7 slices of MAX_SLICE vendors and reasons | 200 |
| dedup:{slice}:{bucket} | messages of 1.25 x duplicate_window_s | 15 |
| status:times:{bucket} | status_times_limit | 13 to 26 a status |
| count:{vendor} | MAX_VENDORS (sidecar/ops/housekeeping.py) | 800 |
| vendors | MAX_VENDORS | 100 |
| nonces:since | one | 80 |
| nonce:{nonce} | signed calls within twice signing_window_s | 130 |
| backend:ok | 1 | 100 |
| campaigns | campaigns that PHP has running, or whose stop PHP has not acknowledged | 150 |
| ledger:{campaign} | rows of some claims: claim_s x the number's rate, and result_wait_ms | 200 |
| ledgers | campaigns with rows in their ledger | 150 |
| rows | rows in all ledgers | 150 |
| claims:{campaign} | claims in flight, and those that PHP has not answered | 150 |
| halt:{campaign} | campaigns stopped within 30 days, or not acknowledged by PHP | 250 |
| metrics | series: what sidecar/metrics.py declares, by error code and endpoint | 120 |
| processes | processes that were started within a day | 120 |
| process:{id} | processes with a heartbeat within a day | 600 |
| published:{id} | the same | 120 |
| errors:{campaign}:{path} | campaigns with an error within a while | 130 |
| pauses | numbers, accounts and tokens of PHP's vendors | 400 |
| lifted:{scope}:{id} | numbers, accounts and campaigns that were resumed within a while | 130 |
| suppressed:{vendor}:{recipient} | recipients that refused within suppress_s | 200 |
| wait:{campaign} | campaigns that rest | 200 |
| clock | 1 | 100 |
| blocked:{campaign} | campaigns that have asked for slots within 5 s | 200 |
| number:{number} | numbers that send | 600 |
| outage:{number} | numbers for which the Cloud API was down within a while | 500 |
| numbers | numbers that have sent within a day | 150 |
| turns:{number} | campaigns of a number that want slots | 150 |
| wanting:{number} | campaigns of a number that want slots | 150 |
| pair:{number}:{recipient} | recipients of the last 6 s, or held (burst, 131056: 1,024 s) | 150 |
| hold:{scope}:{id} | accounts and apps that have been held lately | 300 |
| recipients:{portfolio} | the portfolio's own limit of recipients in 24 hours | 120 |
| notify:events | MAX_EVENTS (sidecar/ops/notifications.py) | 600 |
| notify:targets | 3 | 300 |
| notify:queue:{target} | MAX_WAITING (sidecar/ops/notifications.py) | 600 an item |
| outbox:{kind} | vendors with effects | 100 |
| outbox:{kind}:{vendor} | memory; of forwards and broadcasts effects_limit | 200 |
| effects:{kind}:{vendor} | memory; of forwards and broadcasts effects_limit | 1.25 x effect + 100 |
| effect:{slice}:{bucket} | effects, and forwarded statuses, of 1.25 x duplicate_window_s | 15 |
| urgent:{number} | numbers that replies wait for | 130 |
| chosen:{what}:{token} | questions of 15 minutes, MAX_CHOSEN items each | 100 |
| probe | 1 | 100 |
| check:{token} | checks that run | 130 |
| history:{series} | SERIES (sidecar/ops/history.py) | 3,700 |
| history:counts | 2 | 2,000 |
| audit | audit_entries | 350 |
| config:version | 1 | 100 |
| config:changes | KEPT (sidecar/php/config_feed.py) | 200 |
| shadowed | vendors in shadow | 100 |
| shadow:{vendor} | STREAM_WEBHOOKS, STREAM_BYTES (sidecar/shadow/recorder.py) | 1.2 x body + 60 |
| shadow:{vendor}:bytes | vendors in shadow | 100 |
| planned:{vendor} | MAX_PLANNED and MAX_KNOWN (workers/shadow/store.py) | 1.25 x plan + 150 |
| planned:{vendor}:due | MAX_PLANNED | 200 |
| planned:{vendor}:known | MAX_KNOWN | 200 |
| parity:{vendor} | vendors in shadow within its days | 300 |
| parity:{vendor}:{day} | the same, for each day | 600 |
| parity:{vendor}:{kind}:{class} | shadow_examples for each | 1.2 x example |
| console:users | users that a person added | 350 |
| console:session:{session} | sign-ins within console_session_s | 350 |
| console:sessions | the same | 120 |
| console:tries:{scope}:{id} | names and addresses within WINDOW_S | 130 |
| console:known:{id} | users, and networks of each within KNOWN_S | 130 |

{number}, {account}, {app}, {portfolio} and {id} are names made by workers/sending/limits.py: they
belong to one vendor, unless Meta has confirmed the id. That module explains why no vendor reaches
another's keys.
"""

from contracts.effects import EffectKind
from contracts.jobs import Lane

COUNTERS_PREFIX = "count:"
#: The field of count:{vendor} that says how many bytes of the vendor's are stored: webhooks in the
#: inbox, updates that wait, and effects in the outbox.
STORED_BYTES = "stored_bytes"
DEAD = "dead:vendors"
HISTORY_COUNTS = "history:counts"
IGNORED = "ignored"
AUDIT = "audit"
BACKEND_OK = "backend:ok"
CAMPAIGNS = "campaigns"
CLOCK = "clock"
LEDGERS = "ledgers"
NONCES_SINCE = "nonces:since"
ROWS = "rows"
VENDORS = "vendors"
METRICS = "metrics"
PROCESSES = "processes"
CONFIG_VERSION = "config:version"
CONFIG_CHANGES = "config:changes"
NUMBERS = "numbers"
NOTIFY_EVENTS = "notify:events"
NOTIFY_TARGETS = "notify:targets"
PAUSES = "pauses"
PROBE = "probe"
SHADOWED = "shadowed"
CONSOLE_SESSIONS = "console:sessions"
CONSOLE_USERS = "console:users"


def inbox(lane: Lane, vendor_uid: str) -> str:
    return f"inbox:{lane}:{vendor_uid}"


def ready(lane: Lane) -> str:
    return f"ready:{lane}"


def waiting(lane: Lane) -> str:
    return f"waiting:{lane}"


def cursor(lane: Lane) -> str:
    return f"cursor:{lane}"


def crashes(lane: Lane, partition: int = 0) -> str:
    return f"crashes:{lane}:{partition}"


def begun(lane: Lane, partition: int = 0) -> str:
    return f"begun:{lane}:{partition}"


def bell(lane: Lane) -> str:
    return f"bell:{lane}"


def partitions(lane: Lane) -> str:
    return f"partitions:{lane}"


def lease(name: str) -> str:
    return f"lease:{name}"


def fence(name: str) -> str:
    return f"fence:{name}"


def deferred(lane: Lane) -> str:
    return f"deferred:{lane}"


def deferred_updates(lane: Lane, order_key: str) -> str:
    return f"deferred:{lane}:{order_key}"


def deferred_count(lane: Lane) -> str:
    """Name of the field of count:{vendor} that says how many updates wait in deferred:{lane}."""
    return f"deferred_{lane}"


def deferred_bytes(lane: Lane) -> str:
    """Name of the field of count:{vendor} that says how many bytes these take."""
    return f"deferred_{lane}_bytes"


def ignored(vendor_uid: str) -> str:
    return f"ignored:{vendor_uid}"


def ignored_last(vendor_uid: str) -> str:
    return f"ignored:{vendor_uid}:last"


def ignored_slice(slice_: int) -> str:
    return f"ignored:at:{slice_}"


def dedup(slice_: int, bucket: str) -> str:
    return f"dedup:{slice_}:{bucket}"


def status_times(bucket: int) -> str:
    return f"status:times:{bucket}"


def dead_letters(vendor_uid: str) -> str:
    return f"dead:letters:{vendor_uid}"


def dead_updates(vendor_uid: str) -> str:
    return f"dead:updates:{vendor_uid}"


def dead_effects(vendor_uid: str) -> str:
    return f"dead:effects:{vendor_uid}"


def counters(vendor_uid: str) -> str:
    return f"{COUNTERS_PREFIX}{vendor_uid}"


def chosen(what: str, token: str) -> str:
    return f"chosen:{what}:{token}"


def history(series: str) -> str:
    return f"history:{series}"


def check(token: str) -> str:
    return f"check:{token}"


def nonce(value: str) -> str:
    return f"nonce:{value}"


def ledger(campaign_uid: str) -> str:
    return f"ledger:{campaign_uid}"


def claims(campaign_uid: str) -> str:
    return f"claims:{campaign_uid}"


def halt(campaign_uid: str) -> str:
    return f"halt:{campaign_uid}"


def errors(campaign_uid: str, path: str) -> str:
    return f"errors:{campaign_uid}:{path}"


def lifted(scope: str, id_: str) -> str:
    return f"lifted:{scope}:{id_}"


def suppressed(vendor_uid: str, recipient: str) -> str:
    return f"suppressed:{vendor_uid}:{recipient}"


def process(process_id: str) -> str:
    return f"process:{process_id}"


def published(process_id: str) -> str:
    return f"published:{process_id}"


def wait(campaign_uid: str) -> str:
    return f"wait:{campaign_uid}"


def blocked(campaign_uid: str) -> str:
    return f"blocked:{campaign_uid}"


def number(phone_number_id: str) -> str:
    return f"number:{phone_number_id}"


def outage(phone_number_id: str) -> str:
    return f"outage:{phone_number_id}"


def turns(phone_number_id: str) -> str:
    return f"turns:{phone_number_id}"


def wanting(phone_number_id: str) -> str:
    return f"wanting:{phone_number_id}"


def pair(phone_number_id: str, recipient: str) -> str:
    return f"pair:{phone_number_id}:{recipient}"


def hold(scope: str, id_: str) -> str:
    return f"hold:{scope}:{id_}"


def recipients(portfolio: str) -> str:
    return f"recipients:{portfolio}"


def urgent(phone_number_id: str) -> str:
    return f"urgent:{phone_number_id}"


def notify_queue(target: str) -> str:
    return f"notify:queue:{target}"


def outbox(kind: EffectKind) -> str:
    return f"outbox:{kind}"


def outbox_of(kind: EffectKind, vendor_uid: str) -> str:
    return f"outbox:{kind}:{vendor_uid}"


def effects(kind: EffectKind, vendor_uid: str) -> str:
    return f"effects:{kind}:{vendor_uid}"


def effect(slice_: int, bucket: str) -> str:
    return f"effect:{slice_}:{bucket}"


def shadow(vendor_uid: str) -> str:
    return f"shadow:{vendor_uid}"


def shadow_bytes(vendor_uid: str) -> str:
    return f"shadow:{vendor_uid}:bytes"


def planned(vendor_uid: str) -> str:
    return f"planned:{vendor_uid}"


def planned_due(vendor_uid: str) -> str:
    return f"planned:{vendor_uid}:due"


def planned_known(vendor_uid: str) -> str:
    return f"planned:{vendor_uid}:known"


def parity(vendor_uid: str) -> str:
    return f"parity:{vendor_uid}"


def parity_day(vendor_uid: str, day: str) -> str:
    return f"parity:{vendor_uid}:{day}"


def parity_examples(vendor_uid: str, kind: str, class_: str) -> str:
    return f"parity:{vendor_uid}:{kind}:{class_}"


def console_session(session: str) -> str:
    return f"console:session:{session}"


def console_tries(scope: str, id_: str) -> str:
    return f"console:tries:{scope}:{id_}"


def console_known(id_: str) -> str:
    return f"console:known:{id_}"
