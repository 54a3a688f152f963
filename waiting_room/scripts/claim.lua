-- Claim a turn: the called ticket becomes admitted and takes its pass. A repeated claim tells the same pass again.
--
-- A pass runs out by the wall clock, its slot by the sale's own, which stands still while the sale is halted or nobody ticks. What is
-- left of an unused slot by then is given as another pass of the same turn, so that a halt or an outage costs nobody the checkout.
--
-- KEYS  1–12 as in _shared.lua
-- ARGV  1 ticket id   2 account id   3 id of the key that will sign the pass
-- Returns  {"record": the served record} or {"early": the sight} for a ticket that waits (JSON), or
--          'no_ticket', 'turn_lapsed', 'halted', 'unconfirmed', 'unpublished'
-- Cost  O(log turns)

local ticket = ARGV[1]
local sale, fault = read_sale()
if not sale then return fault end
if sale.settings.control == 'halted' then return 'halted' end
if sale.phase == 'cancelled' then return 'turn_lapsed' end
if redis.call('ZSCORE', LINE, ticket) then return cjson.encode({early = sight(sale, ticket)}) end

local record = record_of(ticket)
if not record then return 'no_ticket' end
local now_s = math.floor(sale.now / 1000)

local function sign_with(kid, exp)
  record.iat, record.exp, record.kid, record.account_id = now_s, exp, kid, ARGV[2]
end

local function note(event)
  log(sale, event, ticket, record, whole(record.exp) .. ' ' .. record.kid)
end

-- Whether something was left.
local function renew()
  local slot_ms = tonumber(redis.call('ZSCORE', SHOPPING, ticket) or '')
  local exp = slot_ms and math.floor((sale.now + slot_ms - sale.room.clock_ms) / 1000) or 0
  if exp <= now_s then return false end
  sign_with(ARGV[3], exp)
  keep(ticket, record)
  note('renew')
  return true
end

if record.state == 'admitted' and record.exp * 1000 > sale.now then
  if not record.account_id then  -- known from the call log only, which names no account
    record.account_id, record.kid = ARGV[2], record.kid or ARGV[3]
    keep(ticket, record)
  end
  return cjson.encode({record = record})
end
if record.state == 'admitted' and renew() then return cjson.encode({record = record}) end
if record.state ~= 'called' then return 'turn_lapsed' end

record.state = 'admitted'
record.jti = ticket .. '.' .. whole(record.turn)
sign_with(ARGV[3], now_s + math.ceil(sale.settings.pass_ms / 1000))
record.slot_ms = sale.room.clock_ms + sale.settings.pass_ms
keep(ticket, record)
redis.call('ZREM', TURNS, ticket)
redis.call('ZREM', UNSEEN, ticket)
redis.call('ZADD', SHOPPING, whole(record.slot_ms), ticket)
redis.call('HINCRBY', ROOM, 'turns_ended', 1)
note('claim')
return cjson.encode({record = record})
