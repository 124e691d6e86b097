#!lua flags=no-writes,allow-oom
-- Read what the accounting is made of, for some vendors, all of it at one moment.
--
-- KEYS[1]  ledgers                                      hash: campaign -> vendor
-- KEYS[2]  deferred:messages   KEYS[3]  deferred:statuses   sorted sets: order keys
-- KEYS[4]  waiting:messages    KEYS[5]  waiting:statuses    hashes: vendor -> webhooks
-- KEYS[6]  ready:messages      KEYS[7]  ready:statuses      sets: vendors whose stream is not empty
-- KEYS[8]  dead:vendors        sorted set: vendors by the bytes of their dead letters
-- then for each vendor  count:{vendor}, inbox:messages:{vendor}, inbox:statuses:{vendor},
-- dead:letters:{vendor}, dead:updates:{vendor}, dead:effects:{vendor}, and of each kind of effect
-- outbox:{kind}:{vendor} and effects:{kind}:{vendor}
-- ARGV[1]  most order keys of a lane that are looked at: each is a list of its own
-- ARGV[2]  what the keys of ledgers begin with
-- ARGV[3..] the vendors
--
-- Returns for each vendor: its counters, flat; for each lane the entries in its stream and the
-- webhooks that were counted into it; how many updates wait in the deferred lists of both lanes (-1
-- if there are too many to look at); how many rows are in its ledgers; how many effects are listed in
-- its outboxes, and stored; how many of its streams are listed as not empty, and are not; how many
-- updates and effects are listed among its dead letters, and how many letters are stored, with how
-- many bytes, and when the oldest was given up (unix ms; 0 if there is none).

local deferred = {}
local too_many = false
for lane = 1, 2 do
  local index = KEYS[1 + lane]
  if redis.call("ZCARD", index) > tonumber(ARGV[1]) then
    too_many = true
  else
    for _, order_key in ipairs(redis.call("ZRANGE", index, 0, -1)) do
      -- An order key begins with the vendor and a slash (workers/inbox/split.py).
      local vendor = string.match(order_key, "^[^/]*")
      local length = redis.call("LLEN", index .. ":" .. order_key)
      deferred[vendor] = (deferred[vendor] or 0) + length
    end
  end
end
local in_flight = {}
local ledgers = redis.call("HGETALL", KEYS[1])
for index = 1, #ledgers, 2 do
  local rows = redis.call("HLEN", ARGV[2] .. ledgers[index])
  local vendor = ledgers[index + 1]
  in_flight[vendor] = (in_flight[vendor] or 0) + rows
end
local function oldest(index)
  return tonumber(redis.call("ZRANGE", index, 0, 0, "WITHSCORES")[2] or math.huge)
end
local of_each = (#KEYS - 8) / math.max(1, #ARGV - 2)
local found = {}
for index = 3, #ARGV do
  local vendor = ARGV[index]
  local first = 9 + of_each * (index - 3)
  local last = first + of_each - 1
  local listed, effects = 0, 0
  if redis.call("EXISTS", unpack(KEYS, first + 6, last)) > 0 then
    for outbox = first + 6, last, 2 do
      listed = listed + redis.call("ZCARD", KEYS[outbox])
      effects = effects + redis.call("HLEN", KEYS[outbox + 1])
    end
  end
  local ready = redis.call("SISMEMBER", KEYS[6], vendor) + redis.call("SISMEMBER", KEYS[7], vendor)
  local messages, statuses = redis.call("XLEN", KEYS[first + 1]), redis.call("XLEN", KEYS[first + 2])
  local dead = {0, 0, 0, 0, 0}
  if redis.call("EXISTS", unpack(KEYS, first + 3, first + 5)) > 0 then
    local updates, dead_effects = KEYS[first + 4], KEYS[first + 5]
    local given_up_at = math.min(oldest(updates), oldest(dead_effects))
    dead = {
      redis.call("ZCARD", updates),
      redis.call("ZCARD", dead_effects),
      redis.call("HLEN", KEYS[first + 3]),
      tonumber(redis.call("ZSCORE", KEYS[8], vendor) or "0"),
      given_up_at == math.huge and 0 or given_up_at,
    }
  end
  found[#found + 1] = {
    redis.call("HGETALL", KEYS[first]),
    messages,
    tonumber(redis.call("HGET", KEYS[4], vendor) or "0"),
    statuses,
    tonumber(redis.call("HGET", KEYS[5], vendor) or "0"),
    too_many and -1 or deferred[vendor] or 0,
    in_flight[vendor] or 0,
    listed,
    effects,
    ready,
    math.min(1, messages) + math.min(1, statuses),
    unpack(dead),
  }
end
return found
