#!lua flags=allow-oom
-- Let this run of Redis send: it has been compared with what PHP knows. If it has gone back in time,
-- or may have, all that is claimed and all replies that wait may have been sent since, and count as
-- being sent: whoever settles that next calls it unknown. All in one step, so that nobody dies halfway.
-- It is also done when Redis is full: nothing is sent before.
--
-- States of rows (sidecar/sending/row_states.py): none -> sending, claimed -> sending,
--   known -> sending
--
-- KEYS[1]  epoch                hash: run (the id of the run that was compared), begun (how many writes
--                               of rows about to be sent there were, from the clock on) and at (the last,
--                               unix ms), floor (leases of campaigns count above it only), failed_over
--                               (a replica took over since it was compared); back_* if it has gone back: back_at (when that was found), back_from (its last write),
--                               back_to (the last that PHP knows of; both unix ms), back_why, back_rows,
--                               back_replies
-- KEYS[2]  ledgers              hash: campaigns whose ledger is not empty -> vendor
-- KEYS[3]  campaigns            hash: campaigns that are to be sent -> vendor
-- KEYS[4]  rows                 hash: the ledger in which a row stands: row -> campaign
-- KEYS[5]  vendors              set: vendors with counters
-- KEYS[6]  outbox:send_message  set: vendors with replies that wait
-- KEYS[7]  memory:since         string: since when it is known which effects were taken
-- ARGV[1]  the run that was compared
-- ARGV[2]  how many writes it had then
-- ARGV[3]  how many PHP knows of, or whoever compares
-- ARGV[4]  when the last of these was, unix ms
-- ARGV[5]  "" if it has not gone back; or why it is said to: behind, or failover
-- ARGV[6]  a new uid, for the claim of replies
-- ARGV[7]  how far tokens may have been ahead of Redis's clock, ms
-- ARGV[8..11] what these begin with: a ledger's key, claims:, outbox:send_message:, count:
-- ARGV[12] what the name of a vendor's replies begins with
-- and those hashes, sets and sorted sets, of the campaigns and vendors that are found
--
-- Returns {1, how many rows, how many replies}; {0} if somebody else was faster, or Redis is not the
-- one that was compared: look again.

-- include redis/epoch.lua
-- include sending/ledger_rows.lua

local run = run_id()
local known = redis.call("HMGET", KEYS[1], "run", "begun", "at")
if run ~= ARGV[1] or known[1] == run or (known[2] or "0") ~= ARGV[2] then
  return {0}
end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = math.max(tonumber(known[3] or 0), tonumber(ARGV[4]))
redis.call("HDEL", KEYS[1], "failed_over")
redis.call("HSET", KEYS[1], "run", run,
  "floor", string.format("%.0f", math.max(now, last + ARGV[7])),
  "begun", string.format("%.0f", math.max(tonumber(ARGV[2]), tonumber(ARGV[3])) + 1))
if ARGV[5] == "" then
  return {1, 0, 0}
end
redis.call("DEL", KEYS[7])

local function write_sending(campaign, row, claim)
  redis.call("HSET", ARGV[8] .. campaign, row, SENDING .. ":" .. claim .. ":")
end

-- What a claim brought that nobody has noted may have been sent too. PHP holds these rows in 3, and
-- calls them unknown after a while.
for _, campaigns in ipairs({KEYS[2], KEYS[3]}) do
  for _, campaign in ipairs(redis.call("HKEYS", campaigns)) do
    redis.call("DEL", ARGV[9] .. campaign)
  end
end
local rows = 0
for _, campaign in ipairs(redis.call("HKEYS", KEYS[2])) do
  local ledger = redis.call("HGETALL", ARGV[8] .. campaign)
  for index = 1, #ledger, 2 do
    if state_of(ledger[index + 1]) == CLAIMED then
      write_sending(campaign, ledger[index], claim_of(ledger[index + 1]))
      rows = rows + 1
    end
  end
end
local replies = 0
for _, vendor in ipairs(redis.call("SMEMBERS", KEYS[6])) do
  local campaign = ARGV[12] .. vendor
  local new = 0
  for _, reply in ipairs(redis.call("ZRANGE", ARGV[10] .. vendor, 0, -1)) do
    local state = redis.call("HGET", ARGV[8] .. campaign, reply)
    if not state then
      write_sending(campaign, reply, ARGV[6])
      redis.call("HSET", KEYS[4], reply, campaign)
      new = new + 1
    elseif state_of(state) == KNOWN and outcome_of(state) == "requeued" then
      -- It was about to wait again, and may have been sent when that was over.
      write_sending(campaign, reply, claim_of(state))
      replies = replies + 1
    end
  end
  count_claimed(KEYS[2], ARGV[11] .. vendor, KEYS[5], campaign, vendor, new)
  replies = replies + new
end
redis.call("HSET", KEYS[1], "back_at", string.format("%.0f", now), "back_from", known[3] or "0",
  "back_to", ARGV[4], "back_why", ARGV[5], "back_rows", rows, "back_replies", replies)
return {1, rows, replies}
