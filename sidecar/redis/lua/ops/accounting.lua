#!lua flags=no-writes,allow-oom
-- Read the numbers of the accounting for some vendors, all at one moment.
--
-- KEYS[1]  ledgers       hash: campaign -> vendor
-- KEYS[2]  dead:vendors  sorted set: vendors by the bytes of their dead letters
-- then for each lane    deferred:{lane}  sorted set: order keys
--                       waiting:{lane}   hash: vendor -> webhooks
--                       ready:{lane}     set: vendors whose stream is not empty
-- then for each vendor  count:{vendor}, dead:letters:{vendor}, dead:updates:{vendor},
--                       dead:effects:{vendor}; of each lane inbox:{lane}:{vendor}; and of each kind of
--                       effect outbox:{kind}:{vendor} and effects:{kind}:{vendor}
-- ARGV[1]  maximum order keys of a lane to inspect: each is a list of its own
-- ARGV[2]  the key prefix of ledgers
-- ARGV[3]  how many lanes there are
-- ARGV[4]  how many kinds of effects
-- ARGV[5..] the vendors
--
-- Returns for each vendor three lists: its counters, flat; what was measured, flat, by these names; and
-- for each lane the entries in its stream, and the webhooks that were counted into it.
--   deferred       updates in the deferred lists of all lanes; -1 if there are too many to inspect
--   in_flight      rows in its ledgers
--   listed         effects that are listed in its outboxes
--   effects        effects that are stored
--   ready          of its streams, how many are listed as not empty
--   streams        how many are not
--   dead_updates   updates that are listed among its dead letters
--   dead_effects   effects that are
--   letters        dead letters that are stored
--   letters_bytes  their bytes
--   given_up_at    when the oldest was given up, unix ms; 0 if there is none

local lanes, kinds = tonumber(ARGV[3]), tonumber(ARGV[4])
local FIRST_LANE, OF_LANE, OF_VENDOR = 3, 3, 4 + lanes + 2 * kinds
local FIRST_VENDOR = FIRST_LANE + OF_LANE * lanes

local deferred = {}
local too_many = false
for lane = 0, lanes - 1 do
  local index = KEYS[FIRST_LANE + OF_LANE * lane]
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

local function read_letters(found, vendor, first)
  if redis.call("EXISTS", unpack(KEYS, first + 1, first + 3)) == 0 then
    return
  end
  local updates, effects = KEYS[first + 2], KEYS[first + 3]
  local given_up_at = math.min(oldest(updates), oldest(effects))
  found.dead_updates = redis.call("ZCARD", updates)
  found.dead_effects = redis.call("ZCARD", effects)
  found.letters = redis.call("HLEN", KEYS[first + 1])
  found.letters_bytes = tonumber(redis.call("ZSCORE", KEYS[2], vendor) or "0")
  found.given_up_at = given_up_at == math.huge and 0 or given_up_at
end

local function read_outboxes(found, first, last)
  if redis.call("EXISTS", unpack(KEYS, first, last)) == 0 then
    return
  end
  for outbox = first, last, 2 do
    found.listed = found.listed + redis.call("ZCARD", KEYS[outbox])
    found.effects = found.effects + redis.call("HLEN", KEYS[outbox + 1])
  end
end

local answer = {}
for index = 5, #ARGV do
  local vendor = ARGV[index]
  local first = FIRST_VENDOR + OF_VENDOR * (index - 5)
  local found = {
    deferred = too_many and -1 or deferred[vendor] or 0, in_flight = in_flight[vendor] or 0,
    listed = 0, effects = 0, ready = 0, streams = 0, dead_updates = 0, dead_effects = 0,
    letters = 0, letters_bytes = 0, given_up_at = 0,
  }
  read_letters(found, vendor, first)
  read_outboxes(found, first + 4 + lanes, first + OF_VENDOR - 1)
  local streams = {}
  for lane = 0, lanes - 1 do
    local of_lane = FIRST_LANE + OF_LANE * lane
    local entries = redis.call("XLEN", KEYS[first + 4 + lane])
    streams[#streams + 1] = entries
    streams[#streams + 1] = tonumber(redis.call("HGET", KEYS[of_lane + 1], vendor) or "0")
    found.ready = found.ready + redis.call("SISMEMBER", KEYS[of_lane + 2], vendor)
    found.streams = found.streams + math.min(1, entries)
  end
  local flat = {}
  for name, value in pairs(found) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  answer[#answer + 1] = {redis.call("HGETALL", KEYS[first]), flat, streams}
end
return answer
