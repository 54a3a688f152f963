-- Put money that came after its hold at the end of its lane, as an entry that is decided in its turn.
--
-- The database knows whether it is decided, so an entry that comes twice is passed over; the mark only keeps the lane short.
--
-- KEYS  1 lane   2 lane:open   3 lane:late:<payment id>
-- ARGV  1 entry (JSON)   2 life of the mark, ms
-- Returns  1 when it was appended, 0 when it is there already or the lane is not open: receipts that come back go first
-- Cost  4 commands

if redis.call('GET', KEYS[2]) ~= run_id() or not redis.call('SET', KEYS[3], '1', 'NX', 'PX', ARGV[2]) then
  return 0
end
redis.call('RPUSH', KEYS[1], ARGV[1])
return 1
