-- A part of other scripts, which sidecar/redis/client.py puts in the place of their line "include":
-- the rows of a ledger. A state is a letter, the claim that it belongs to, and more, separated by
-- colons; what may follow which is in sidecar/sending/row_states.py.

local CLAIMED, SENDING, KNOWN = "c", "s", "k"

local function state_of(value)
  return value and string.sub(value, 1, 1)
end

local function claim_of(value)
  return value and string.match(value, "^.:([^:]*)")
end

-- Return the counter of a known row's outcome.
local function outcome_of(value)
  return string.match(value, "^.:[^:]*:([^:]*)")
end

-- Tell whether another ledger than the campaign's has a row. rows: the key of that name; prefix: what
-- the keys of ledgers begin with.
local function in_another_ledger(rows, prefix, campaign, row)
  local holder = redis.call("HGET", rows, row)
  return holder and holder ~= campaign and redis.call("HEXISTS", prefix .. holder, row) == 1
end

-- Count rows that have come into a campaign's ledger.
local function count_claimed(ledgers, counters, vendors, campaign, vendor, rows)
  if rows > 0 then
    redis.call("HSET", ledgers, campaign, vendor)
    redis.call("HINCRBY", counters, "claimed", rows)
    redis.call("SADD", vendors, vendor)
  end
end
