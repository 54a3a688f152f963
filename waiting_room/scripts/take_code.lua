-- Take what a one-time code stands for: whoever asks first has it, and nobody after.
--
-- KEYS  1 the code's key
-- ARGV  none
-- Returns  what it stands for, or '' once it is taken or over
-- Cost  O(1)

return redis.call('GETDEL', KEYS[1]) or ''
