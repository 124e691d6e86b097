#!lua flags=allow-oom
-- Note how a probe of the Cloud API has ended, or that a send has worked while it was down. Times are
-- microseconds. It is also done when Redis is full: an outage that is over must not go on for that.
--
-- KEYS[1]  outage:{number}  hash (outage.lua)
-- ARGV[1]  what the probe is known by; "" if it was none
-- ARGV[2]  asked: the API answers, and a row is next; refused: that was refused; failed: it does not work;
--          worked: it does
-- ARGV[3]  when the send left
-- ARGV[4]  why it has failed
-- ARGV[5]  how long the next pause is at most: each is twice as long as the last one
-- ARGV[6]  what it is stretched by
-- ARGV[7]  how long it is kept after the next probe is due
-- ARGV[8]  for how long it is on trial when it is over
--
-- A probe whose time was over says nothing, unless it worked. A send that is no probe ends the outage if
-- it left since, or if the API had answered nothing. An outage that follows within the trial goes on
-- with the pauses of the last one, once a probe has failed; unless all that failed in that one were refused.
--
-- Returns {how many rows were refused}, and if that ends the outage {0, since, reason, now}.

-- include sending/held.lua

local KEPT = 3600000 -- ms

local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local known = look(KEYS[1], now, "since", "reason", "silent", "probe", "pause", "failed", "carry",
  "trial_until", "refused")
local since = tonumber(known[1])
local mine = known[4] and known[4] == ARGV[1]
if not since or not mine and ARGV[2] ~= "worked" then
  return {0}
end

if ARGV[2] == "worked" then
  if not mine and known[3] ~= "1" and tonumber(ARGV[3]) < since then
    return {0}
  end
  if tonumber(known[6]) > tonumber(known[9] or 0) then
    redis.call("HSET", KEYS[1], "carry", known[5], "trial_until", now + ARGV[8])
  end
  redis.call("HDEL", KEYS[1], "since", "reason", "silent", "until", "pause", "failed", "refused", "phase",
    "probe", "probe_until")
  redis.call("HSET", KEYS[1], "last_reason", known[2], "last_since", since, "last_until", now, "looked", now)
  redis.call("PEXPIRE", KEYS[1], KEPT)
  return {0, since, known[2], now}
end

redis.call("HDEL", KEYS[1], "phase", "probe", "probe_until")
if ARGV[2] == "asked" then
  redis.call("HSET", KEYS[1], "phase", "row", "until", now, "looked", now)
  return {0}
end
local pause = 2 * known[5]
if since < tonumber(known[8] or 0) then
  pause = math.max(pause, 2 * known[7])
end
pause = math.min(pause, tonumber(ARGV[5]))
local waits = math.ceil(pause * ARGV[6])
redis.call("HSET", KEYS[1], "until", now + waits, "pause", pause, "reason", ARGV[4], "looked", now)
redis.call("HINCRBY", KEYS[1], "failed", 1)
local refused = redis.call("HINCRBY", KEYS[1], "refused", ARGV[2] == "refused" and 1 or 0)
redis.call("PEXPIRE", KEYS[1], math.ceil((waits + ARGV[7]) / 1000))
return {refused}
