-- Bring a counter up to a number that is known to have been given; one that is further stays.
--
-- KEYS  1 the counter
-- ARGV  1 the number
-- Returns  1 when it was raised, else 0
-- Cost  O(1)

if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
