-- Give out sending slots of a number, evenly spaced on Redis's clock, to the next rows of one
-- campaign. Times are microseconds.
--
-- KEYS[1]  lease:campaign:{campaign}
-- KEYS[2]  halt:{campaign}         set: the campaign is paused or cancelled
-- KEYS[3]  number:{number}         hash: the next slot, the rate, a hold (sidecar/sending/numbers.py)
-- KEYS[4]  hold:account:{account}  hash: until, pause, reason, looked (hold.lua)
-- KEYS[5]  hold:app:{app}          hash: the same
-- KEYS[6]  turns:{number}          sorted set: campaigns, until when they have had their share
-- KEYS[7]  wanting:{number}        sorted set: campaigns that want more than they got, until when
--                                  that counts
-- KEYS[8]  recipients:{portfolio}  sorted set: recipients of 24 hours, by their last slot
-- KEYS[9]  pair:{number}:          and the recipient  string: began.written:due (pair.lua)
-- KEYS[10] numbers                 sorted set: KEYS[3] of all numbers, by when they were asked last
-- KEYS[11] pauses                  hash: what a person must resume -> JSON (sidecar/sending/pauses.py)
-- KEYS[12] wait:{campaign}         set: the campaign rests
-- KEYS[13] urgent:{number}         string: until then one that comes before all others wants more slots
-- KEYS[14] outage:{number}         hash: the Cloud API does not work (outage.lua)
-- KEYS[15] blocked:{campaign}      string: why it gets no slots now
-- ARGV[1]  the holder's fencing token
-- ARGV[2]  the campaign
-- ARGV[3]  the number's configured rate, per second
-- ARGV[4]  how far ahead slots may be given out
-- ARGV[5]  how far ahead a slot is at least
-- ARGV[6]  how many recipients the portfolio may have in 24 hours; 0: any number
-- ARGV[7]  1 if the campaign comes before all others (a vendor's replies), else 0
-- ARGV[8]  1 if more rows wait than those that follow, else 0
-- ARGV[9]  what a probe of the Cloud API is known by that this call begins
-- ARGV[10] how long the probe may take until the API is asked
-- ARGV[11] how many recipients follow of earlier slots whose rows were not sent after all
-- ARGV[12] how many names of pauses follow
-- ARGV[13..] these fields of KEYS[11], each of which would keep the campaign from sending; then those
--          recipients, and then the rows' recipients
--
-- {number}, {account}, {app} and {portfolio} are names that workers/sending/limits.py gives: of the vendor
-- alone, unless Meta has confirmed them.
--
-- Returns {-1} if the lease is lost, {-2} if the campaign is halted, {-4, JSON} if something of it is
-- paused, {-5} if the campaign rests; else
-- {slots, time until the first, time between two, time until it makes sense to ask again, clock,
--  why nothing goes out now or "", how the Cloud API does, then in pairs: a row (from 0) whose
--  recipient has had too much, and the time until it may have more}. Rows get slots in their order;
-- those are left out. How the Cloud API does: "" well, "trial" well again since not long ago, "down";
-- "ask": down, and the caller is to ask it, for no row; "row": down, and the one slot is a probe.

-- include sending/held.lua
-- include sending/pair.lua

local SECOND, DAY = 1000000, 86400000000
-- A campaign that has not asked for so long wants nothing any more.
local FORGOTTEN = 1250000
-- The same for one that comes before all others, ms.
local URGENT_FORGOTTEN = 300
-- After the number was throttled its rate climbs like TCP CUBIC (RFC 9438): from CUT of the rate
-- that was refused fast towards that, slowly around it, and faster and faster beyond. CLIMB: how
-- long it takes back to the full rate, if that is what was refused.
local CUT, LEAST, CLIMB = 0.8, 0.05, 30000000
-- The rate is never cut below LEAST of it, nor below so many a second where that is less: a rate that
-- is far too high by mistake must come down to what Meta allows.
local LEAST_RATE = 50
-- Meta's limit of a pair is one message in 6 s; up to 45 may go within 6 s and borrow from the
-- future: after 20, the next is due 2 minutes later. A tenth of a second is for delays on the way.
local PAIR, BURST, BURST_WINDOW = 6100000, 45, 5900000
-- What lies further ahead than any pause lasts is of before the clock was set back, and of a version
-- that kept no `looked`: it holds nothing. (hold.lua stretches pauses by a quarter at most.)
local STRETCHED = 1.5
-- A probe whose row is not begun (begin.lua) so long after its slot never is.
local PROBE_LATE = 2000000
-- How long it is shown why a campaign gets no slots, ms; it asks every second.
local SHOWN = 5000

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return {-1}
end
if redis.call("EXISTS", KEYS[2]) == 1 then
  return {-2}
end
local pauses = {unpack(ARGV, 13, 12 + ARGV[12])}
for _, paused in ipairs(redis.call("HMGET", KEYS[11], unpack(pauses))) do
  if paused then
    return {-4, paused}
  end
end
if redis.call("EXISTS", KEYS[12]) == 1 then
  return {-5}
end
local time = redis.call("TIME")
local now = time[1] * SECOND + time[2]
local campaign, rate, daily = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[6])
local ahead, least = tonumber(ARGV[4]), tonumber(ARGV[5])

-- The time between two slots.
local number = look(KEYS[3], now, "next", "ceiling", "climbs_from")
local share = 1
if number[2] then
  local ceiling = tonumber(number[2])
  local climbed = math.max(0, now - number[3]) / CLIMB
  share = ceiling + (1 - CUT) * (climbed - ceiling ^ (1 / 3)) ^ 3
  share = math.max(math.min(LEAST, LEAST_RATE / rate), math.min(1, share))
  if share == 1 then
    redis.call("HDEL", KEYS[3], "ceiling", "climbs_from")
  end
end
local gap = math.ceil(SECOND / (rate * share))

-- When the next slot is. A clock that was set back must not stop the number: what lies too far ahead
-- is written down as it counts, so that time gets past it.
local free = tonumber(number[1] or 0)
if free > now + ahead + gap then
  free = now + ahead + gap
  redis.call("HSET", KEYS[3], "next", free)
end
free = math.max(now + least, free)
local reason = ""
for key = 3, 5 do
  local hold = look(KEYS[key], now, "until", "reason", "pause")
  local over = tonumber(hold[1] or 0)
  if over > now then
    redis.call("HSET", KEYS[key], "looked", now)
  end
  if over > free and over <= now + STRETCHED * (hold[3] or DAY) then
    free = over
    reason = free > now + ahead and hold[2] or ""
  end
end

-- Campaigns that want more than they get share equally: each gets slots as far ahead as if it had a
-- slower number for itself.
redis.call("ZREM", KEYS[7], campaign)
local turn = gap * (1 + redis.call("ZCOUNT", KEYS[7], now, now + FORGOTTEN))
local had = tonumber(redis.call("ZSCORE", KEYS[6], campaign) or 0)
local urgent = ARGV[7] == "1"
if urgent then
  turn, had = gap, 0
end
if had > now + ahead + turn then
  had = now + ahead + turn
  redis.call("ZADD", KEYS[6], had, campaign)
end
had = math.max(now + least, had)
local most = 1 + math.min(math.floor((now + ahead - free) / gap), math.floor((now + ahead - had) / turn))
local wanted_until = not urgent and tonumber(redis.call("GET", KEYS[13]) or 0) or 0
local yields = wanted_until >= now and wanted_until <= now + 1000 * URGENT_FORGOTTEN
if yields then
  most = 0
end

-- While the Cloud API is down one thing at a time is tried: first it is asked, which costs no row.
local outage = look(KEYS[14], now, "since", "reason", "until", "probe_until", "phase", "trial_until")
local state = now < tonumber(outage[6] or 0) and "trial" or ""
local probes_at = now
if outage[1] then
  state = "down"
  -- A probe that is under way may end at any moment: whoever waits for it looks often.
  probes_at = math.max(tonumber(outage[3]), math.min(tonumber(outage[4] or 0), now + SECOND))
  if free <= math.max(probes_at, now + ahead) then
    reason = "the Cloud API is down: " .. outage[2]
  end
  if probes_at > now then
    most = 0
  elseif outage[5] == "row" then
    most = math.min(1, most)
  elseif most > 0 then
    redis.call("HSET", KEYS[14], "probe", ARGV[9], "probe_until", now + ARGV[10])
    state, most = "ask", 0
  end
  redis.call("HSET", KEYS[14], "looked", now)
end

local used = 0
if daily > 0 then
  redis.call("ZREMRANGEBYSCORE", KEYS[8], "-inf", now - DAY)
  used = redis.call("ZCARD", KEYS[8])
end

local unsent = 13 + tonumber(ARGV[12])
local first = unsent + tonumber(ARGV[11])
for index = unsent, first - 1 do
  local key = KEYS[9] .. ARGV[index]
  local began, due = read_pair(key, now)
  if began and began > 0 then
    if due - PAIR - began < PAIR then
      redis.call("DEL", key)
    else
      write_pair(key, now, began, due - PAIR)
    end
  end
end

-- Return when a recipient may have a message at the earliest, from when a burst counts, and when
-- the next one is due if it gets the slot at this time.
local function pair(recipient, at)
  local began, due = read_pair(KEYS[9] .. recipient, now)
  if began and at < began + BURST_WINDOW and due - began < BURST * PAIR then
    return at, began, due + PAIR
  elseif due and at < due then
    return due
  end
  return at, at, at + PAIR
end

local slots, index, refused, exhausted = 0, first, {}, false
while slots < most and index <= #ARGV do
  local recipient, at = ARGV[index], free + slots * gap
  local possible, began, due = pair(recipient, at)
  if possible > at then
    refused[#refused + 1] = index - first
    refused[#refused + 1] = possible - now
  else
    exhausted = daily > 0 and used >= daily and not redis.call("ZSCORE", KEYS[8], recipient)
    if exhausted then
      break
    end
    if daily > 0 then
      used = used + redis.call("ZADD", KEYS[8], at, recipient)
    end
    write_pair(KEYS[9] .. recipient, now, began, due)
    slots = slots + 1
  end
  index = index + 1
end

local next_free, had_until = free + slots * gap, had + slots * turn
local again = math.max(math.max(next_free, had_until) - ahead / 2, probes_at) - now
if state == "ask" then
  again = 0
end
if yields then
  again = math.max(again, ahead / 5)
end
local wants_more = index <= #ARGV or ARGV[8] == "1"
if exhausted then
  local oldest = redis.call("ZRANGE", KEYS[8], used - daily, used - daily, "WITHSCORES")
  again = oldest[2] + DAY - now
  reason = ARGV[6] .. " recipients of the portfolio in 24 hours are used up"
elseif wants_more and urgent then
  redis.call("SET", KEYS[13], now + 1000 * URGENT_FORGOTTEN, "PX", URGENT_FORGOTTEN)
elseif wants_more then
  redis.call("ZADD", KEYS[7], now + FORGOTTEN, campaign)
  redis.call("PEXPIRE", KEYS[7], 60000)
elseif urgent then
  redis.call("DEL", KEYS[13])
end
if slots == 0 and reason ~= "" then
  redis.call("SET", KEYS[15], reason, "PX", SHOWN)
else
  redis.call("DEL", KEYS[15])
end
if slots > 0 then
  if state == "down" then
    state = "row"
    redis.call("HSET", KEYS[14], "probe", ARGV[9], "probe_until", free + PROBE_LATE)
  end
  redis.call("HSET", KEYS[3], "next", next_free)
  if not urgent then
    redis.call("ZADD", KEYS[6], had_until, campaign)
  end
  redis.call("ZREMRANGEBYSCORE", KEYS[6], "-inf", now)
  redis.call("PEXPIRE", KEYS[6], math.ceil((had_until - now) / 1000) + 60000)
  if daily > 0 then
    redis.call("PEXPIRE", KEYS[8], DAY / 1000 + 60000)
  end
end
redis.call("HSET", KEYS[3], "looked", now, "rate", rate, "share", share, "account", KEYS[4], "app", KEYS[5],
  "recipients", KEYS[8], "daily", daily, "pauses", cjson.encode(pauses))
redis.call("PEXPIRE", KEYS[3], math.ceil((next_free - now) / 1000) + 600000)
redis.call("ZADD", KEYS[10], now, KEYS[3])
redis.call("ZREMRANGEBYSCORE", KEYS[10], "-inf", now - DAY)
return {slots, free - now, gap, math.max(0, again), now, reason, state, unpack(refused)}
