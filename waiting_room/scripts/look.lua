-- Look at a ticket: a poll. The first one after the call marks the ticket seen.
--
-- KEYS  1–9 as in _shared.lua
-- ARGV  1 ticket id
-- Returns  the sight of the ticket (JSON), or 'no_ticket', 'unconfirmed', 'unpublished'
-- Cost  O(log line); about 12 commands, none of them writes but for a ticket just called.

local sale, fault = read_sale()
if not sale then return fault end
local seen = sight(sale, ARGV[1])
if not seen then return 'no_ticket' end
if seen.state == 'called' then redis.call('ZREM', UNSEEN, ARGV[1]) end
return cjson.encode(seen)
