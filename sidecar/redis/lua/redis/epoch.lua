-- A part of other scripts, which sidecar/redis/client.py puts in the place of their line "include":
-- whether this run of Redis has been compared with what PHP knows (sidecar/sending/epoch.py). Until
-- then it may have gone back in time, and nothing is sent.
--
-- A run is known by the id of its replication, which is another one after each restart and each
-- failover. A Redis that is new, or was wiped, has nothing to compare.

-- Return the id of this run.
local function run_id()
  return string.match(redis.call("INFO", "replication"), "master_replid:(%x+)")
end

-- Return why nothing may be sent, or nothing; and then the fencing token that leases must be above,
-- and the number of the last write of rows about to be sent. That begins with the clock, in
-- microseconds, so that it keeps growing when Redis was wiped.
local function look_at_epoch(epoch)
  local known = redis.call("HMGET", epoch, "run", "floor", "begun")
  local run = run_id()
  if not known[1] then
    local time = redis.call("TIME")
    known = {run, nil, time[1] * 1000000 + time[2]}
    redis.call("HSET", epoch, "run", run, "begun", string.format("%.0f", known[3]))
  elseif known[1] ~= run then
    return redis.error_reply("UNCHECKED Redis was restarted or has failed over; it is compared with PHP first")
  end
  return nil, tonumber(known[2] or 0), tonumber(known[3])
end
