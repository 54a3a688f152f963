-- Read the digest, and the numbers that are gone, as far as they are not known yet. Changes nothing.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 how many gone numbers are known   2 the digest's instant that is known (unix ms), so that it is not sent again
-- Returns  the numbers, apart by spaces, a line feed, and the digest (JSON; empty when it is the known one, '-' when there is none)
-- Cost  O(what is sent)

local gone = redis.call('LRANGE', GONE, ARGV[1], -1)
local digest = redis.call('GET', KEYS[17])
local known = '{"now_ms":' .. ARGV[2] .. ','
if not digest then digest = '-'
elseif string.sub(digest, 1, #known) == known then digest = '' end
return table.concat(gone, ' ') .. '\n' .. digest
