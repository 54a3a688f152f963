"""The room's scripts as a trial runs them: with the wall clock of their own sale, which a trace sets, and one more that tells all."""

from __future__ import annotations

from waiting_room import scripts

# Everything that the room keeps of a sale, as one JSON object. KEYS 1 settings; ARGV 1 from now on the sale's wall clock, unix ms.
SNAPSHOT = """
local function key(name) return (string.gsub(KEYS[1], 'settings$', name)) end
local function pairs_of(reply)
  local told = {}
  for at = 1, #reply, 2 do told[reply[at]] = reply[at + 1] end
  return told
end
local told, log = {}, {}
for _, name in ipairs({'line', 'turns', 'unseen', 'missed', 'shopping', 'ordering'}) do
  told[name] = pairs_of(redis.call('ZRANGE', key(name), 0, -1, 'WITHSCORES'))
end
for _, name in ipairs({'passes', 'served'}) do told[name] = pairs_of(redis.call('HGETALL', key(name))) end
for _, name in ipairs({'outcomes', 'window'}) do told[name] = redis.call('LRANGE', key(name), 0, -1) end
for at, entry in ipairs(redis.call('XRANGE', key('calls'), '-', '+')) do
  local row = pairs_of(entry[2])
  log[at] = {row.event, row.ticket_id, row.number, row.turn, row.detail}
end
told.log = log
for _, name in ipairs({'draw', 'opened_ms', 'lobby_size'}) do told[name] = redis.call('HGET', key('room'), name) or '' end
told.counts = {}
for _, event in ipairs({'call', 'claim', 'miss', 'return', 'lapse', 'free', 'renew', 'left', 'move', 'addendum'}) do
  told.counts[event] = redis.call('HGET', key('room'), 'count_' .. event) or '0'
end
told.gone = redis.call('LRANGE', key('gone'), 0, -1)
told.now_serving = redis.call('HGET', key('room'), 'now_serving') or '0'
redis.call('SET', KEYS[1] .. ':wall', ARGV[1])
return cjson.encode(told)
"""
_ASKED = "local time = redis.call('TIME')"
_TOLD = """local at = tonumber(redis.call('GET', KEYS[1] .. ':wall'))
  local time = {math.floor(at / 1000), at % 1000 * 1000}"""


def source_with_a_clock_of_its_own(name: str) -> str:
    """A script as the product loads it, but for the wall clock."""
    if name == "snapshot":
        return SNAPSHOT
    text = scripts.source(name)
    assert text.count("'TIME'") == text.count(_ASKED) == 1, (
        f"{name}.lua asks for the time in more than one place"
    )
    return text.replace(_ASKED, _TOLD)
