#!lua flags=allow-oom
-- Commit a batch's results: all of them or none, and only while the lease is held.
-- Allowed when Redis is full: it frees memory.
--
-- States of updates (sidecar/inbox/update_states.py):
--   none -> waiting, none -> done, none -> ignored, none -> duplicate, none -> coalesced,
--   none -> dead, waiting -> waiting, waiting -> done, waiting -> ignored, waiting -> duplicate,
--   waiting -> coalesced, waiting -> dead, dead -> none
-- States of effects (sidecar/effects/effect_states.py): dead -> none
--
-- KEYS[1]  lease:{name}
-- KEYS[2]  ready:{lane}     set: vendors with a stream that is not empty
-- KEYS[3]  deferred:{lane}  sorted set: order keys with a list that is not empty
-- KEYS[4]  waiting:{lane}   hash: webhooks in each vendor's stream
-- KEYS[5]  partitions:{lane}  string: how many there are, how vendors are spread, and the token of the
--          first one's drain
-- KEYS[6]  lease:drain:{lane}  string: that token. It is another one's if the lane is drained by a
--          version that knows of no partitions
-- ARGV[1]  the holder's token
-- then commands, each as the number of its words followed by the words; a 0 ends them. Three are not
--          Redis's: DEADLETTER, the names of dead_letters.lua, updates or effects, an id, a letter, now,
--          and the vendor's bounds: how many letters, how many bytes, and given up since when;
--          IGNORED, the words of count_ignored.lua; and STATUSTIMES, the words of
--          append_status_times.lua
-- then the streams that entries were taken from, as pairs of key and vendor, led by their count
-- then the lists that updates were taken from, as pairs of key and order key, led by their count
--
-- Returns 1, or 0 if the lease is lost; then nothing was done. A stream or list that has become
-- empty leaves its index.

-- include dead_letters/dead_letters.lua
-- include inbox/count_ignored.lua
-- include inbox/append_status_times.lua

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
if KEYS[1] ~= KEYS[6] then
  local first = redis.call("GET", KEYS[6])
  local division = redis.call("GET", KEYS[5])
  if not division or first and string.match(division, "%d+$") ~= first then
    return 0
  end
end
local at = 2
while ARGV[at] ~= "0" do
  local words = tonumber(ARGV[at])
  if ARGV[at + 1] == "DEADLETTER" then
    local of, rest = vendors_letters(ARGV, at + 2), at + 8
    local now = tonumber(ARGV[rest + 3])
    put_letter(of, ARGV[rest], ARGV[rest + 1], ARGV[rest + 2], now)
    keep_to_bounds(of, tonumber(ARGV[rest + 4]), tonumber(ARGV[rest + 5]), tonumber(ARGV[rest + 6]), now)
  elseif ARGV[at + 1] == "IGNORED" then
    count_ignored(ARGV, at + 2)
  elseif ARGV[at + 1] == "STATUSTIMES" then
    append_status_times(ARGV, at + 2)
  else
    redis.call(unpack(ARGV, at + 1, at + words))
  end
  at = at + words + 1
end
at = at + 1
local streams = tonumber(ARGV[at])
for index = 1, streams do
  local key, vendor = ARGV[at + 2 * index - 1], ARGV[at + 2 * index]
  if redis.call("XLEN", key) == 0 then
    redis.call("DEL", key)
    redis.call("SREM", KEYS[2], vendor)
    redis.call("HDEL", KEYS[4], vendor)
  end
end
at = at + 2 * streams + 1
local lists = tonumber(ARGV[at])
for index = 1, lists do
  local key, order_key = ARGV[at + 2 * index - 1], ARGV[at + 2 * index]
  if redis.call("EXISTS", key) == 0 then
    redis.call("ZREM", KEYS[3], order_key)
  end
end
return 1
