#!lua flags=allow-oom
-- Drop rows that PHP has from the ledger, and count how they ended.
-- It is also done when Redis is full: it makes room.
--
-- States of rows (sidecar/sending/row_states.py): claimed -> none, sending -> none,
--   known -> none
--
-- KEYS[1]  ledger:{campaign}  hash: row -> state (workers/sending/ledger.py)
-- KEYS[2]  ledgers            hash: campaigns whose ledger is not empty -> vendor
-- KEYS[3]  count:{vendor}     hash: counters
-- KEYS[4]  rows               hash: the ledger in which a row stands: row -> campaign
-- ARGV[1]  the campaign
-- ARGV[2..] for each row its uid, its claim, and the counter of its end
--
-- Returns how many were dropped. A row that is not there any more is not counted again, and one
-- that is there under another claim stays.

-- include sending/ledger_rows.lua

local ends = {}
local dropped = 0
for index = 2, #ARGV, 3 do
  local state = redis.call("HGET", KEYS[1], ARGV[index])
  if claim_of(state) == ARGV[index + 1] then
    redis.call("HDEL", KEYS[1], ARGV[index])
    if redis.call("HGET", KEYS[4], ARGV[index]) == ARGV[1] then
      redis.call("HDEL", KEYS[4], ARGV[index])
    end
    ends[ARGV[index + 2]] = (ends[ARGV[index + 2]] or 0) + 1
    dropped = dropped + 1
  end
end
for name, times in pairs(ends) do
  redis.call("HINCRBY", KEYS[3], name, times)
end
if redis.call("EXISTS", KEYS[1]) == 0 then
  redis.call("HDEL", KEYS[2], ARGV[1])
end
return dropped
