-- Take or renew the lead of a sale.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 life of the lease, ms
-- Returns  'mine' or 'taken'
-- Cost  O(1)

local holder = redis.call('GET', KEYS[14])
if holder and holder ~= ARGV[1] then return 'taken' end
redis.call('SET', KEYS[14], ARGV[1], 'PX', ARGV[2])
return 'mine'
