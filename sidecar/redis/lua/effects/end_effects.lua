#!lua flags=allow-oom
-- Record how effects have ended, or that they are to be retried; only while the lease is held.
-- Allowed when Redis is full: it frees memory.
--
-- States of updates (sidecar/inbox/update_states.py): dead -> none
-- States of effects (sidecar/effects/effect_states.py): waiting -> waiting, waiting -> done,
--   waiting -> dropped, waiting -> dead, dead -> none
--
-- KEYS[1]  lease:{name}
-- KEYS[2]  outbox:{kind}            set: vendors with something in it
-- KEYS[3]  outbox:{kind}:{vendor}   sorted set: ids by when they are due (unix ms)
-- KEYS[4]  effects:{kind}:{vendor}  hash: id -> effect
-- KEYS[5]  count:{vendor}           hash: counters, stored_bytes among them
-- KEYS[6..10] the vendor's dead letters (dead_letters.lua)
-- ARGV[1]  the holder's token
-- ARGV[2]  the vendor
-- ARGV[3]  now, unix ms
-- ARGV[4..6] the bounds of its dead letters: how many, how many bytes, and given up since when
-- ARGV[7..] for each effect: its id; "waiting", when it is due, and the effect as it is to be stored;
--          or "done" or "dropped" and two words that do not matter; or "dead", the letter's id, and
--          the letter
--
-- Returns 1, or 0 if the lease is lost; then nothing was done. Effects that ended before are skipped.

-- include dead_letters/dead_letters.lua

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
local of = vendors_letters({KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], ARGV[2]}, 1)
local now, died, bytes = tonumber(ARGV[3]), false, 0
for index = 7, #ARGV, 4 do
  local id, state, word, value = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
  local size = redis.call("HSTRLEN", KEYS[4], id)
  if state == "waiting" then
    if redis.call("HEXISTS", KEYS[4], id) == 1 then
      bytes = bytes + #value - size
      redis.call("HSET", KEYS[4], id, value)
      redis.call("ZADD", KEYS[3], word, id)
    end
  elseif redis.call("HDEL", KEYS[4], id) == 1 then
    bytes = bytes - size
    redis.call("ZREM", KEYS[3], id)
    if state == "dead" then
      put_letter(of, "effects", word, value, now)
      died = true
    else
      redis.call("HINCRBY", KEYS[5], "effects_" .. state, 1)
    end
  end
end
redis.call("HINCRBY", KEYS[5], "stored_bytes", bytes)
if died then
  keep_to_bounds(of, tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), now)
end
if redis.call("EXISTS", KEYS[3]) == 0 then
  redis.call("SREM", KEYS[2], ARGV[2])
end
return 1
