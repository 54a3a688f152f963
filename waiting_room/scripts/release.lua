-- Give the lead up, so that a controller that stands by need not wait for the lease to end.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller
-- Returns  'released' or 'not_leader'
-- Cost  O(1)

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
redis.call('DEL', KEYS[14])
return 'released'
