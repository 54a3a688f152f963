-- Lay down what a one-time code stands for, until it is taken or its time is over.
--
-- KEYS  1 the code's key
-- ARGV  1 what it stands for; 2 its life in ms
-- Returns  'laid', or 'taken' where the key is in use
-- Cost  O(1)

if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 'laid' end
return 'taken'
