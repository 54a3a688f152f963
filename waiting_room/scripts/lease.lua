-- Take or renew the lead of a sale. Who finds it taken stands by, and is noted as such for those who watch.
--
-- KEYS  1–14 as in _shared.lua   15 standby
-- ARGV  1 token of the controller   2 life of the lease, ms
-- Returns  'mine' or 'taken'
-- Cost  O(log controllers)

local holder = redis.call('GET', KEYS[14])
if holder and holder ~= ARGV[1] then
  redis.call('ZADD', KEYS[15], whole(wall_ms()), ARGV[1])
  return 'taken'
end
redis.call('ZREM', KEYS[15], ARGV[1])
redis.call('SET', KEYS[14], ARGV[1], 'PX', ARGV[2])
return 'mine'
