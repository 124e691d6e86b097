#!lua flags=allow-oom
-- Write down the rows that a claim has brought, each once, and count them.
-- It is also done when Redis is full: PHP has given the rows out by now.
--
-- States of rows (sidecar/sending/row_states.py): none -> claimed, claimed -> claimed,
--   known -> claimed
--
-- KEYS[1]  ledger:{campaign}  hash: row -> state (workers/sending/ledger.py)
-- KEYS[2]  ledgers            hash: campaigns whose ledger is not empty -> vendor
-- KEYS[3]  count:{vendor}     hash: counters
-- KEYS[4]  vendors            set: vendors with counters
-- KEYS[5]  rows               hash: the ledger in which a row stands: row -> campaign
-- KEYS[6]  claims:{campaign}  hash: claims of which it is not known what they have brought
-- KEYS[7]  lease:campaign:{campaign}
-- ARGV[1]  the campaign
-- ARGV[2]  the vendor
-- ARGV[3]  the claim
-- ARGV[4]  how many rows PHP found expired
-- ARGV[5]  how many rows PHP has skipped for their contact
-- ARGV[6]  the holder's fencing token
-- ARGV[7]  what a ledger's key begins with
-- ARGV[8]  how many claims follow whose rows the caller has in hand
-- ARGV[9..] these claims, and then the rows
--
-- Returns -1 if the lease is lost; then nothing is written. Otherwise for each row why it must not
-- be sent, or "" for one that is the caller's now:
--   twice_in_answer    the row was named before;
--   in_hand            it is being sent, or was and PHP does not know, or it waits with the caller;
--   in_another_ledger  another campaign, or the vendor's replies, has it.
-- A row that is there under this claim keeps its state. One that is there under another claim, was
-- certainly not sent, and is nobody's, was given out anew: what the other claim knew has ended.

-- include sending/ledger_rows.lua

if redis.call("GET", KEYS[7]) ~= ARGV[6] then
  return -1
end

local mine = {}
local first = 9 + ARGV[8]
for index = 9, first - 1 do
  mine[ARGV[index]] = true
end

local function why_not(row, state)
  if not state then
    return in_another_ledger(KEYS[5], ARGV[7], ARGV[1], row) and "in_another_ledger"
  end
  local claim = claim_of(state)
  if state_of(state) == CLAIMED then
    return mine[claim] and claim ~= ARGV[3] and "in_hand"
  end
  local outcome = state_of(state) == KNOWN and outcome_of(state)
  local unsent = outcome == "failed" or outcome == "requeued"
  return (claim == ARGV[3] or not unsent) and "in_hand"
end

local new = 0
local named = {}
local reasons = {}
for index = first, #ARGV do
  local row = ARGV[index]
  local state = redis.call("HGET", KEYS[1], row)
  local reason = named[row] and "twice_in_answer" or why_not(row, state) or ""
  named[row] = true
  reasons[#reasons + 1] = reason
  if reason == "" and claim_of(state) ~= ARGV[3] then
    if state then
      local ended = state_of(state) == KNOWN and outcome_of(state) or "released"
      redis.call("HINCRBY", KEYS[3], ended, 1)
    end
    redis.call("HSET", KEYS[1], row, CLAIMED .. ":" .. ARGV[3])
    redis.call("HSET", KEYS[5], row, ARGV[1])
    new = new + 1
  end
end
count_claimed(KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], new)
if redis.call("HDEL", KEYS[6], ARGV[3]) == 1 then
  for counter, rows in pairs({ expired = ARGV[4], skipped = ARGV[5] }) do
    if rows ~= "0" then
      redis.call("HINCRBY", KEYS[3], counter, rows)
      redis.call("SADD", KEYS[4], ARGV[2])
    end
  end
end
return reasons
