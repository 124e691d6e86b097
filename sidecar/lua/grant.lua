-- Give out sending slots of a number, evenly spaced on Redis's clock.
--
-- KEYS[1]  lease:campaign:{campaign}
-- KEYS[2]  halt:{campaign}     set: the campaign is paused or cancelled
-- KEYS[3]  rate:{number}       string: when the next slot is, in microseconds of Redis's clock
-- ARGV[1]  the holder's fencing token
-- ARGV[2]  time between two slots, in microseconds
-- ARGV[3]  how far ahead slots may be given out, in microseconds
-- ARGV[4]  how many slots are wanted
--
-- Returns {slots, microseconds until the first of them, Redis's clock in microseconds}; the slots
-- are ARGV[2] apart. {0, microseconds until it makes sense to ask again, clock} if none is free
-- now. {-1} if the lease is lost, {-2} if the campaign is halted.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return {-1}
end
if redis.call("EXISTS", KEYS[2]) == 1 then
  return {-2}
end
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local gap = tonumber(ARGV[2])
local ahead = tonumber(ARGV[3])
local start = math.max(now, tonumber(redis.call("GET", KEYS[3]) or "0"))
if start > now + ahead then
  return {0, math.ceil(start - now - ahead), now}
end
local slots = math.min(tonumber(ARGV[4]), math.floor((now + ahead - start) / gap) + 1)
local next_free = start + slots * gap
local keep_ms = math.ceil((next_free - now) / 1000) + 60000
redis.call("SET", KEYS[3], string.format("%.0f", next_free), "PX", keep_ms)
return {slots, math.floor(start - now), now}
