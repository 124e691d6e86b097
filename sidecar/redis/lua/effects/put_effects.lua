#!lua flags=allow-oom
-- Add effects to a vendor's outbox, each id once.
-- Allowed when Redis is full: PHP has decided, and the updates free memory when they are committed.
--
-- States of effects (sidecar/effects/effect_states.py): none -> waiting, none -> dropped
--
-- KEYS[1]  count:{vendor}  hash: counters, stored_bytes among them
-- KEYS[2]  vendors         set: vendors with counters
-- KEYS[3]  memory:since    string: since when it is remembered what was put here (sidecar/effects/memory.py)
-- then for each kind  outbox:{kind}           set: vendors with something in it
--                     outbox:{kind}:{vendor}  sorted set: ids by when they are due (unix ms)
--                     effects:{kind}:{vendor} hash: id -> effect (sidecar/effects/outbox.py)
-- ARGV[1]  the vendor
-- ARGV[2]  now, unix ms
-- ARGV[3]  how many droppable effects of a kind may wait; more are dropped
-- ARGV[4]  until when new ids are remembered, unix s
-- ARGV[5]  the number of time slices whose ids are remembered (sidecar/redis/marks.py)
-- ARGV[6..] the key prefixes of their buckets, the newest first: effect:{slice}:
-- then for each effect: which kind (from 0), its id, the effect, "1" if it may be dropped or "", when
--          PHP asked for it first (unix ms) if it asks again, or "", how many marks it has, and of
--          each mark the bucket and the mark itself
--
-- An effect is known if all of its marks are; one without marks only while it waits. One that is
-- dropped is not remembered. One that PHP asks for again is not added if it may have been put here,
-- and have happened, before the memory begins, or if nobody can tell when that was.
--
-- Returns how many were added, how many were known, and how many were dropped, and the ids of those
-- that may have happened.

local last_slice = 5 + ARGV[5]

-- Return whether a mark is remembered.
local function is_known(bucket, mark)
  for slice = 6, last_slice do
    if redis.call("SISMEMBER", ARGV[slice] .. bucket, mark) == 1 then
      return true
    end
  end
  return false
end

-- Return whether all marks from this place on are remembered.
local function are_known(first, marks)
  for place = first, first + 2 * marks - 1, 2 do
    if not is_known(ARGV[place], ARGV[place + 1]) then
      return false
    end
  end
  return marks > 0
end

local function remember(first, marks)
  for place = first, first + 2 * marks - 1, 2 do
    redis.call("SADD", ARGV[6] .. ARGV[place], ARGV[place + 1])
    redis.call("EXPIREAT", ARGV[6] .. ARGV[place], ARGV[4])
  end
end

local since

-- Return whether it would be remembered if an effect had been put here since PHP asked for it.
local function is_remembered(asked_at)
  if asked_at == "" then
    return true
  end
  -- While it is not known since when, it is no number.
  since = since or tonumber(redis.call("GET", KEYS[3]) or "") or math.huge
  return tonumber(asked_at) > since
end

local taken, known, dropped, bytes = 0, 0, 0, 0
local forgotten = {}
local index = last_slice + 1
while index < #ARGV do
  local at = 4 + 3 * tonumber(ARGV[index])
  local id, effect, droppable = ARGV[index + 1], ARGV[index + 2], ARGV[index + 3] ~= ""
  local first, marks = index + 6, tonumber(ARGV[index + 5])
  if are_known(first, marks) or redis.call("HEXISTS", KEYS[at + 2], id) == 1 then
    known = known + 1
  elseif not is_remembered(ARGV[index + 4]) then
    forgotten[#forgotten + 1] = id
  elseif droppable and redis.call("ZCARD", KEYS[at + 1]) >= tonumber(ARGV[3]) then
    dropped = dropped + 1
  else
    remember(first, marks)
    redis.call("HSET", KEYS[at + 2], id, effect)
    -- Effects that arrive together keep their order.
    redis.call("ZADD", KEYS[at + 1], ARGV[2] + taken / 1024, id)
    redis.call("SADD", KEYS[at], ARGV[1])
    taken, bytes = taken + 1, bytes + #effect
  end
  index = first + 2 * marks
end
if taken + dropped > 0 then
  redis.call("HINCRBY", KEYS[1], "effects", taken + dropped)
  redis.call("HINCRBY", KEYS[1], "effects_dropped", dropped)
  redis.call("HINCRBY", KEYS[1], "stored_bytes", bytes)
  redis.call("SADD", KEYS[2], ARGV[1])
end
return {taken, known, dropped, forgotten}
