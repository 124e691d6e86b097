-- Included in other scripts: sidecar/redis/client.py replaces their "include" line with it.
-- One vendor's dead letters, as a table of names:
--
-- dead      dead:vendors           sorted set: vendors with dead letters, by the bytes of these
-- letters   dead:letters:{vendor}  hash: id -> letter
-- updates   dead:updates:{vendor}  sorted set: ids of updates by when they were given up (unix ms)
-- effects   dead:effects:{vendor}  sorted set: the same of effects
-- counters  count:{vendor}         hash: dead and effects_dead; those deleted since, by reason;
--                                  dropped_at (unix ms): when one was last deleted for lack of room
-- vendor

local COUNTER = {updates = "dead", effects = "effects_dead"}
-- How many letters one call deletes at most, besides as many as it adds: bounds that are lowered a
-- lot must not block Redis.
local MAX_DROPPED = 5000

local function vendors_letters(words, first)
  return {
    dead = words[first], letters = words[first + 1], updates = words[first + 2],
    effects = words[first + 3], counters = words[first + 4], vendor = words[first + 5],
  }
end

local function forget_letter(of, id)
  local size = redis.call("HSTRLEN", of.letters, id) + #id
  if redis.call("HDEL", of.letters, id) == 1 then
    redis.call("ZINCRBY", of.dead, -size, of.vendor)
    if redis.call("EXISTS", of.letters) == 0 then
      redis.call("ZREM", of.dead, of.vendor)
    end
  end
end

-- Delete a letter without counting it. Return whether it was there.
local function take_letter(of, kind, id)
  if redis.call("ZREM", of[kind], id) == 0 then
    return false
  end
  forget_letter(of, id)
  return true
end

-- Add a letter and count it. If its id is taken, it gets a new one.
local function put_letter(of, kind, id, letter, at)
  local name = id
  while redis.call("HEXISTS", of.letters, name) == 1 do
    name = id .. "~" .. redis.call("HINCRBY", of.counters, "dead_renamed", 1)
  end
  redis.call("HSET", of.letters, name, letter)
  redis.call("ZADD", of[kind], at, name)
  redis.call("ZINCRBY", of.dead, #letter + #name, of.vendor)
  redis.call("HINCRBY", of.counters, COUNTER[kind], 1)
end

-- Apply the bounds: delete what is too old, then the oldest, effects before updates, and count each
-- by reason. Return how many were deleted.
local function keep_to_bounds(of, most, most_bytes, oldest, now)
  local dropped = 0
  local function drop(kind, why)
    forget_letter(of, redis.call("ZPOPMIN", of[kind])[1])
    redis.call("HINCRBY", of.counters, COUNTER[kind] .. "_" .. why, 1)
    dropped = dropped + 1
  end
  for _, kind in ipairs({"effects", "updates"}) do
    while dropped < MAX_DROPPED do
      local first = redis.call("ZRANGE", of[kind], 0, 0, "WITHSCORES")
      if not first[1] or tonumber(first[2]) >= oldest then
        break
      end
      drop(kind, "too_old")
    end
  end
  local effects = redis.call("ZCARD", of.effects)
  local many = effects + redis.call("ZCARD", of.updates)
  while many > 0 and dropped < MAX_DROPPED do
    local too_many = many > most
    if not too_many and tonumber(redis.call("ZSCORE", of.dead, of.vendor) or 0) <= most_bytes then
      break
    end
    drop(effects > 0 and "effects" or "updates", too_many and "too_many" or "too_large")
    many, effects = many - 1, effects - 1
  end
  if dropped > 0 then
    redis.call("HSET", of.counters, "dropped_at", now)
  end
  return dropped
end
