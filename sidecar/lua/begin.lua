-- Write down that rows are about to be sent: the last step before the call, so that no row is ever
-- sent without the lease and an entry in the ledger.
--
-- KEYS[1]  lease:campaign:{campaign}
-- KEYS[2]  halt:{campaign}    set: the campaign is paused or cancelled
-- KEYS[3]  ledger:{campaign}  hash: row -> state
-- ARGV[1]  the holder's fencing token
-- ARGV[2..] for each row its uid, and what the ledger says of it from now on
--
-- Returns 1. -1 if the lease is lost, -2 if the campaign is halted; then nothing is written.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return -1
end
if redis.call("EXISTS", KEYS[2]) == 1 then
  return -2
end
for index = 2, #ARGV, 2 do
  redis.call("HSET", KEYS[3], ARGV[index], ARGV[index + 1])
end
return 1
