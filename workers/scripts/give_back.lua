-- Give passes back whose order was rejected, unless another order has taken the pass since.
--
-- KEYS  1 passes
-- ARGV  1… jti, order id, jti, order id …
-- Returns  how many marks were dropped
-- Cost  O(pairs)

local dropped = 0
for at = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    dropped = dropped + redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
return dropped
