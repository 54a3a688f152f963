-- Look at a ticket: a poll. The first one after the call marks the ticket seen; after a loss it brings the place back.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 ticket id   2, 3 number and store id of the ticket that was shown, 0 and '' without one   4 place in a lobby, '' in a FIFO sale
-- Returns  the sight of the ticket (JSON), or 'no_ticket', 'unconfirmed', 'unpublished'
-- Cost  O(log line); about 12 commands, none of them writes but for a ticket just called, or back after a loss.

local sale, fault = read_sale()
if not sale then return fault end
take_back(sale, ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local seen = sight(sale, ARGV[1])
if not seen then return 'no_ticket' end
if seen.state == 'called' then redis.call('ZREM', UNSEEN, ARGV[1]) end
return cjson.encode(seen)
