#!lua flags=allow-oom
-- Write down what is known of rows that are in the ledger.
-- It is also done when Redis is full: the work was begun, and has to end.
--
-- States of rows (sidecar/sending/row_states.py): claimed -> claimed, sending -> claimed,
--   claimed -> known, sending -> known, known -> known
--
-- KEYS[1]  ledger:{campaign}  hash: row -> state (workers/sending/ledger.py)
-- ARGV[1..] for each row its uid, its claim, and its state from now on
--
-- Returns how many were written. What is there under another claim is left alone: the row was given
-- out anew, and whoever speaks here is late. What is not there any more has ended, and what is known
-- stays so.

-- include sending/ledger_rows.lua

local written = 0
for index = 1, #ARGV, 3 do
  local state = redis.call("HGET", KEYS[1], ARGV[index])
  local allowed = state_of(state) ~= KNOWN or state_of(ARGV[index + 2]) == KNOWN
  if allowed and claim_of(state) == ARGV[index + 1] then
    redis.call("HSET", KEYS[1], ARGV[index], ARGV[index + 2])
    written = written + 1
  end
end
return written
