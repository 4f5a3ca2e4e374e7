"""What a server does in one step, in Lua. A script is atomic: nobody sees it half done, and no other command comes between.

Times. A node's clock and the server's may differ, so a lifetime comes as a number of milliseconds from now, and the server's own clock
makes a moment of it. ``CLOCK_MARGIN`` seconds are added: for a node whose clock is behind, something lives on that is over for the
others, and it must still be found there. What is over for a node is told by the node's own clock, in ``ARGV``.

On a cluster a slot may be on its way from one server to another, with some of its keys here and some there. A script is kept from running
where keys that it was told of are apart. But those of the sessions in an index it learns only there: it does not see them all, and must not
take one that it doesn't see for gone. ``sees_all`` is empty on a cluster, where whoever calls has to ask for these by name.

Nothing is undone where a script fails half way, so what can fail comes first: to publish comes before to delete.

A stream only grows at its end and is trimmed at its head. An entry there that is over goes; one that is old and yet lives, among many that
are long over, is moved to the end, where every node hears it once more. So a single revocation of a month keeps no month of others, and
what lives is never trimmed. An entry has two fields: ``r``, revocations of 25 bytes each, and ``e``, the moment by the server's clock, in
milliseconds, when the last of them is over.
"""

from __future__ import annotations

from .client import Script

__all__ = [
    "APPEND",
    "CLOCK_MARGIN",
    "DELETE",
    "INSERT",
    "LOOK",
    "READ_ALL",
    "REPLACE",
    "milliseconds",
]

CLOCK_MARGIN = 900  # seconds: by so much, 15 minutes, may the clocks of two nodes, or of a node and the server, differ


def milliseconds(seconds: float) -> int:
    """How long the server keeps what a node needs for so many seconds."""
    return max(int((seconds + CLOCK_MARGIN) * 1000), 1)


_TIME = """
local function moment(ttl)
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000) + ttl
end
"""

_KEEP = """
local function keep(session, index, member, value, ends_at, ttl, over)
  local gone = moment(ttl)
  redis.call('SET', session, value, 'PXAT', gone)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', over)
  redis.call('ZADD', index, ends_at, member)
  if redis.call('PTTL', index) < ttl then redis.call('PEXPIREAT', index, gone) end
end
"""

_NAME = """
local function name(head, member)
  return head .. string.sub(member, 1, 3) .. '}:' .. string.sub(member, 4)
end
"""

_APPEND = """
local OLD = 3600000  -- milliseconds: one hour
local AT_ONCE = 64
local ABANDONED = 86400000  -- milliseconds: one day after all is over, the whole stream goes

local function ends_of(entry)
  local fields = entry[2]
  return fields[3] == 'e' and tonumber(fields[4]) or 0
end

local function is_due(entry, now)
  return ends_of(entry) <= now or tonumber(string.match(entry[1], '^%d+')) <= now - OLD
end

local function trim(stream, now)
  local head = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not is_due(head, now) then return end
  for _, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', AT_ONCE)) do
    if not is_due(entry, now) then return end
    if ends_of(entry) > now then redis.call('XADD', stream, '*', unpack(entry[2])) end
    redis.call('XDEL', stream, entry[1])
  end
end

local function append(stream, message, ttl)
  local now = moment(0)
  redis.call('XADD', stream, '*', 'r', message, 'e', string.format('%.0f', now + ttl))
  trim(stream, now)
  if redis.call('PTTL', stream) < ttl + ABANDONED then redis.call('PEXPIREAT', stream, now + ttl + ABANDONED) end
end
"""

INSERT = Script.of(
    _TIME
    + _KEEP
    + _NAME
    + """
local session, index = KEYS[1], KEYS[2]
local head, member, value, ends_at, ttl, over, now, limit, sees_all = unpack(ARGV)
local held = redis.call('GET', session)
if held then return held == value and 1 or -1 end  -- A client that never heard the answer has asked again.
limit = tonumber(limit)
if limit >= 0 and redis.call('ZCOUNT', index, '(' .. now, '+inf') >= limit then
  if sees_all == '' then return 0 end
  local live = 0
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. now, '+inf')) do
    if redis.call('EXISTS', name(head, other)) == 1 then live = live + 1 else redis.call('ZREM', index, other) end
  end
  if live >= limit then return 0 end
end
keep(session, index, member, value, ends_at, tonumber(ttl), over)
return 1
"""
)
"""1 where it was added, 0 where the subject has as many as it may, -1 where the id is taken."""

READ_ALL = Script.of(
    _NAME
    + """
local index, found = KEYS[1], {}
local head, over, sees_all = unpack(ARGV)
redis.call('ZREMRANGEBYSCORE', index, '-inf', over)
for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local value = redis.call('GET', name(head, member))
  if value or sees_all == '' then
    found[#found + 1] = string.sub(member, 4)
    found[#found + 1] = value
  else
    redis.call('ZREM', index, member)
  end
end
return found
"""
)
"""Id and value of each session in turn; no value where the session was not seen, which on a cluster does not mean that there is none."""

REPLACE = Script.of(
    _TIME
    + _KEEP
    + _APPEND
    + """
local session, index, stream = KEYS[1], KEYS[2], KEYS[3]
local version, member, value, ends_at, ttl, over, message, lasting = unpack(ARGV)
if redis.call('GETRANGE', session, 1, 4) ~= version then return 0 end
if stream then append(stream, message, tonumber(lasting)) end
keep(session, index, member, value, ends_at, tonumber(ttl), over)
return 1
"""
)
"""1 where it was replaced. With a third key also publishes, where it did."""

DELETE = Script.of(
    _TIME
    + _APPEND
    + """
local index, found, messages = KEYS[1], {}, {}
local count = (#ARGV - 1) / 3
local stream = KEYS[count + 2]
for number = 1, count do
  if redis.call('GETRANGE', KEYS[number + 1], 1, 4) == ARGV[number * 3 - 1] then
    found[#found + 1] = number
    messages[#messages + 1] = ARGV[number * 3 + 1]
  end
end
if stream and #messages > 0 then append(stream, table.concat(messages), tonumber(ARGV[1])) end
for _, number in ipairs(found) do
  redis.call('DEL', KEYS[number + 1])
  redis.call('ZREM', index, ARGV[number * 3])
end
return found
"""
)
"""The places, from 1, of those that were deleted. With one more key than sessions also publishes the messages of these."""

APPEND = Script.of(
    _TIME
    + _APPEND
    + """
append(KEYS[1], ARGV[2], tonumber(ARGV[1]))
return 1
"""
)

LOOK = Script.of(
    """
local stream, from, count, form = KEYS[1], unpack(ARGV)
if redis.call('EXISTS', stream) == 0 then return {0, 0} end
local told, given = redis.call('XINFO', 'STREAM', stream), nil
for place = 1, #told, 2 do
  if told[place] == 'entries-added' then given = told[place + 1] end
end
if not given then return redis.error_reply('ERR a server of Redis 7 or later, or Valkey, is needed') end
local entries, messages = redis.call('XRANGE', stream, from, '+', 'COUNT', count), {}
if #entries == 0 then return {given, 0} end
if form == 'apart' then return {given, #entries, entries[1], entries[#entries], entries} end
for place = from == '-' and 1 or 2, #entries do
  local fields = entries[place][2]
  messages[#messages + 1] = #fields == 4 and fields[1] == 'r' and fields[3] == 'e' and fields[2] or 'none of ours'
end
return {given, #entries, entries[1], entries[#entries], table.concat(messages)}
"""
)
"""Of a stream at one moment: how many entries it was ever given; and of those from an id on, up to a number, how many there are, the
first, the last, and the messages of all but that of the id, in one piece, or ``apart`` the entries themselves. A client parses one piece
many times faster."""
