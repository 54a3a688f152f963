-- Give a called buyer one more turn window, once a turn.
--
-- KEYS  1–9 as in _shared.lua
-- ARGV  1 ticket id
-- Returns  the sight of the ticket (JSON), or 'no_ticket', 'not_called', 'already_extended', 'unconfirmed', 'unpublished'
-- Cost  O(log turns)

local ticket = ARGV[1]
local sale, fault = read_sale()
if not sale then return fault end
local record = record_of(ticket)
if not record then return redis.call('ZSCORE', LINE, ticket) and 'not_called' or 'no_ticket' end
if record.state ~= 'called' or sale.phase == 'cancelled' then return 'not_called' end
if record.extended then return 'already_extended' end

record.extended = true
keep(ticket, record)
redis.call('ZINCRBY', TURNS, sale.settings.turn_window_ms, ticket)
redis.call('ZREM', UNSEEN, ticket)
return cjson.encode(sight(sale, ticket))
