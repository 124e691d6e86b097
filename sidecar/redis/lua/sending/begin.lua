-- Write down that rows are about to be sent: the last step before the call, so that no row is ever
-- sent without the lease and an entry in the ledger.
--
-- States of rows (sidecar/sending/row_states.py): none -> sending, claimed -> sending,
--   sending -> sending, known -> sending
--
-- KEYS[1]  lease:campaign:{campaign}
-- KEYS[2]  halt:{campaign}    set: the campaign is paused or cancelled
-- KEYS[3]  ledger:{campaign}  hash: row -> state (workers/sending/ledger.py)
-- KEYS[4]  ledgers            hash: campaigns whose ledger is not empty -> vendor
-- KEYS[5]  count:{vendor}     hash: counters
-- KEYS[6]  vendors            set: vendors with counters
-- KEYS[7]  rows               hash: the ledger in which a row stands: row -> campaign
-- KEYS[8]  epoch              hash (epoch.lua)
-- KEYS[9..] for each number that sends, which may be held by now (hold.lua):
--          number:{number}    hash
--          outage:{number}    hash: the Cloud API does not work (outage.lua)
-- ARGV[1]  the holder's fencing token
-- ARGV[2]  the campaign
-- ARGV[3]  the vendor
-- ARGV[4]  in how many microseconds the rows will be sent, at most
-- ARGV[5]  what a ledger's key begins with
-- ARGV[6]  what the probe is known by that one of the rows is, or ""
-- ARGV[7]  how long the probe may take
-- ARGV[8..] for each row its uid, and its state from now on
--
-- Returns the number of this write, which only grows, and the places (from 0) of rows that must not be
-- sent: the ledger has them under another claim, or knows what became of them (but for a reply that was
-- not sent, and waits in the outbox again), or another ledger has them. -1 if the lease is lost, -2 if the campaign is halted, -3 if a
-- number is held then, or its Cloud API is down and the rows are no probe; and nothing is written. A row
-- that is in no ledger counts as claimed. The error UNCHECKED: Redis may have gone back in time.

-- include redis/epoch.lua
-- include sending/held.lua
-- include sending/ledger_rows.lua

local unchecked, floor, begun = look_at_epoch(KEYS[8])
if unchecked then
  return unchecked
end
if redis.call("GET", KEYS[1]) ~= ARGV[1] or tonumber(ARGV[1]) <= floor then
  return -1
end
if redis.call("EXISTS", KEYS[2]) == 1 then
  return -2
end
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local probes
for index = 9, #KEYS, 2 do
  local hold = look(KEYS[index], now, "until", "pause")
  local over = tonumber(hold[1] or 0)
  -- One that lies further ahead is of before the clock was set back, as in grant.lua.
  if over > now + ARGV[4] and over <= now + 1.5 * (hold[2] or 86400000000) then
    return -3
  end
  local outage = redis.call("HMGET", KEYS[index + 1], "since", "probe")
  if outage[1] and outage[2] ~= ARGV[6] then
    return -3
  end
  probes = outage[1] and KEYS[index + 1] or probes
end

begun = begun + 1
local at = math.floor(now / 1000)
redis.call("HSET", KEYS[8], "begun", string.format("%.0f", begun), "at", string.format("%.0f", at))
local new = 0
local refused = {begun}
for index = 8, #ARGV, 2 do
  local row, state = ARGV[index], ARGV[index + 1]
  local known = redis.call("HGET", KEYS[3], row)
  local elsewhere = not known and in_another_ledger(KEYS[7], ARGV[5], ARGV[2], row)
  local over = state_of(known) == KNOWN and outcome_of(known) ~= "requeued"
  if elsewhere or over or known and claim_of(known) ~= claim_of(state) then
    refused[#refused + 1] = (index - 8) / 2
  else
    redis.call("HSET", KEYS[3], row, state)
    if not known then
      redis.call("HSET", KEYS[7], row, ARGV[2])
      new = new + 1
    end
  end
end
if probes and #refused == 1 then
  redis.call("HSET", probes, "probe_until", now + ARGV[7])
end
count_claimed(KEYS[4], KEYS[5], KEYS[6], ARGV[2], ARGV[3], new)
return refused
