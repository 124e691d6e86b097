#!lua flags=allow-oom
-- Add up the counters of vendors that have nothing waiting. Each balances by its counters alone, so
-- the sum does as well. Allowed when Redis is full: it frees memory.
--
-- KEYS[1]  vendors          set: vendors with counters
-- KEYS[2]  count:{others}   hash: the merged counters
-- KEYS[3..] count:{vendor}  hash: counters of vendors
-- ARGV[1]  the name that stands for the others
-- ARGV[2]  a list, as JSON: of each flow (sidecar/ops/accounting.py) the counter of its total, and
--          those of its parts
-- ARGV[3..] the vendors
--
-- Returns how many were merged.

local checks = cjson.decode(ARGV[2])
local merged = 0
for index = 3, #KEYS do
  local found, count = redis.call("HGETALL", KEYS[index]), {}
  for field = 1, #found, 2 do
    count[found[field]] = tonumber(found[field + 1])
  end
  local idle = #found > 0
  for _, names in ipairs(checks) do
    local difference = count[names[1]] or 0
    for part = 2, #names do
      difference = difference - (count[names[part]] or 0)
    end
    idle = idle and difference == 0
  end
  if idle then
    for name, value in pairs(count) do
      if name == "dropped_at" then
        local last = tonumber(redis.call("HGET", KEYS[2], name) or 0)
        redis.call("HSET", KEYS[2], name, string.format("%.0f", math.max(last, value)))
      else
        redis.call("HINCRBY", KEYS[2], name, string.format("%.0f", value))
      end
    end
    redis.call("DEL", KEYS[index])
    redis.call("SREM", KEYS[1], ARGV[index])
    redis.call("SADD", KEYS[1], ARGV[1])
    merged = merged + 1
  end
end
return merged
