-- Lay down what became of some orders of one sale, for whoever looks before asking the database.
--
-- KEYS  1… result:<id> of each order
-- ARGV  1 life of a result, s   2… the decision on each order (JSON), in the order of KEYS
-- Returns  how many were laid
-- Cost  O(orders): one command instead of one per order, which would cost its sender more than the server.

for at, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[at + 1], 'EX', ARGV[1])
end
return #KEYS
