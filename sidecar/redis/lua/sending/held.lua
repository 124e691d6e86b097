-- Included by scripts that hold something until a time. Such a hash has a field `looked`: what
-- Redis's clock said when somebody looked last. If the clock says less now, it was set back, and all
-- times in the hash move back with it; else a hold would last longer by as much.

local TIMES = {"until", "climbs_from", "since", "probe_until", "trial_until", "last_since", "last_until"}

-- Return how far the clock has been set back since `looked`.
local function set_back(looked, now)
  return math.max(0, (tonumber(looked) or 0) - now)
end

-- Return these fields of a hash, its times as they count now. Whoever holds writes `looked`.
local function look(key, now, ...)
  local names = {...}
  names[#names + 1] = "looked"
  local found = redis.call("HMGET", key, unpack(names))
  local back = set_back(found[#names], now)
  if back == 0 then
    return found
  end
  for _, name in ipairs(TIMES) do
    if redis.call("HEXISTS", key, name) == 1 then
      redis.call("HINCRBY", key, name, string.format("%.0f", -back))
    end
  end
  redis.call("HSET", key, "looked", now)
  return redis.call("HMGET", key, unpack(names))
end
