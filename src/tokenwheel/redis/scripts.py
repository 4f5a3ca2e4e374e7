"""What a server does in one step, in Lua.

A script is atomic: nobody sees it half done, and no other command comes between.

**Times.** A node's clock and the server's may differ. So a lifetime comes as a number of
milliseconds from now, and the server adds it to its own clock. ``CLOCK_MARGIN`` is added as well:
for a node whose clock is behind, something still lives that is over for the others, and that node
must find it. Whether something is over for a node is decided by the node's own clock, in ``ARGV``.
Nothing is forgotten because one clock runs ahead: it has to be over by the server's clock and by
that of the node which comes next.

**Clusters.** A slot may be on its way from one server to another, with some of its keys here and
some there. A cluster keeps a script from running where the keys in ``KEYS`` are apart. But a script
learns the keys of the sessions in an index only from that index. It may not see all of these, and
must not treat a session as gone because it doesn't see it. So ``sees_all`` is empty on a cluster,
and the caller asks for unseen sessions by name.

**Failures.** Nothing is undone where a script fails half way. So what can fail comes first: a
script publishes before it deletes, and lists a session before it keeps it. A session that no index
lists would outlive every ``delete_all``.

**The stream.** It only grows at its end and is trimmed at its head. There an entry that is over is
deleted. One that is old and still lives moves to the end, where every node hears it once more. So a
single revocation that lasts a month does not hold up the trimming of others, and no live one is
ever trimmed. An entry has two fields: ``r``, the messages of revocations
(``revocation/message.py``), and ``e``, the moment when the last of them is over, in milliseconds by
the server's clock or the node's, whichever is ahead.

A stream takes no entry after the one with the largest id there can be, and anybody may have put
that there. The stream is then made anew, of the entries that live.
"""

from __future__ import annotations

from ..revocation.heard import CLOCK_MARGIN
from .client import Script

__all__ = [
    "APPEND",
    "CLOCK_MARGIN",
    "DELETE",
    "INSERT",
    "KEEP_LIFETIME",
    "LOOK",
    "READ_ALL",
    "REPLACE",
    "milliseconds",
]


def milliseconds(seconds: float) -> int:
    """Return the milliseconds for which the server keeps what a node needs for ``seconds``."""
    return max(int((seconds + CLOCK_MARGIN) * 1000), 1)


_TIME = """
local function moment(ttl)
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000) + ttl
end
"""

_FORGET = f"""
local function forget(index, over)
  local by_server = redis.call('TIME')[1] - {CLOCK_MARGIN}
  redis.call('ZREMRANGEBYSCORE', index, '-inf', math.min(tonumber(over), by_server))
end
"""

_KEEP = (
    _FORGET
    + """
local function keep(session, index, member, value, ends_at, ttl, over)
  local gone, is_listed = moment(ttl), redis.call('ZSCORE', index, member)
  local is_done, failure = pcall(function()
    forget(index, over)
    redis.call('ZADD', index, ends_at, member)
    if redis.call('PTTL', index) < ttl then redis.call('PEXPIREAT', index, gone) end
    redis.call('SET', session, value, 'PXAT', gone)
  end)
  if is_done then return end
  if not is_listed then redis.call('ZREM', index, member) end
  error(failure)
end
"""
)

_NAME = """
local function name(head, member)
  return head .. string.sub(member, 1, 3) .. '}:' .. string.sub(member, 4)
end
"""

_APPEND = """
local OLD = 3600000  -- milliseconds: one hour
local AT_ONCE = 64
local ABANDONED = 86400000  -- milliseconds: one day after all is over, the whole stream goes
local LARGEST = '18446744073709551615-18446744073709551615'  -- an id after which none comes

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

-- A stream that is not there yet has no info, and why nothing was added is another matter.
local function is_exhausted(stream)
  local info = redis.pcall('XINFO', 'STREAM', stream)
  for place = 1, #info, 2 do
    if info[place] == 'last-generated-id' then return info[place + 1] == LARGEST end
  end
end

local function make_anew(stream, now)
  local entries, left = redis.call('XRANGE', stream, '-', '+'), redis.call('PTTL', stream)
  redis.call('DEL', stream)
  for _, entry in ipairs(entries) do
    if ends_of(entry) > now then redis.call('XADD', stream, '*', unpack(entry[2])) end
  end
  if left > 0 and redis.call('EXISTS', stream) == 1 then
    redis.call('PEXPIREAT', stream, moment(left))
  end
end

local function append(stream, message, lasting)
  local ttl, caller = string.match(lasting, '^(%d+) (%d+)$')
  ttl, caller = tonumber(ttl), tonumber(caller)
  local now = moment(0)
  local first, last = math.min(now, caller), math.max(now, caller)
  local entry = {'r', message, 'e', string.format('%.0f', last + ttl)}
  local added = redis.pcall('XADD', stream, '*', unpack(entry))
  if type(added) == 'table' and added.err then
    if string.find(added.err, 'WRONGTYPE') or not is_exhausted(stream) then error(added) end
    make_anew(stream, first)
    redis.call('XADD', stream, '*', unpack(entry))
  end
  trim(stream, first)
  local kept = ttl + ABANDONED
  if redis.call('PTTL', stream) < kept then redis.call('PEXPIREAT', stream, now + kept) end
end
"""

INSERT = Script.of(
    _TIME
    + _KEEP
    + _NAME
    + """
local session, index = KEYS[1], KEYS[2]
local head, member, value, ends_at, ttl, over, now, limit, place, issuer, sees_all = unpack(ARGV)

local function live_of_service()
  local live = 0
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. now, '+inf')) do
    local whose = redis.call('GETRANGE', name(head, other), place, place + #issuer - 1)
    if whose == issuer then
      live = live + 1
    elseif whose == '' and redis.call('EXISTS', name(head, other)) == 0 then
      if sees_all == '' then live = live + 1 else redis.call('ZREM', index, other) end
    end
  end
  return live
end

local held = redis.call('GET', session)
-- A client that never heard the answer asks again.
if held then return held == value and 1 or -1 end
limit = tonumber(limit)
if limit >= 0 and redis.call('ZCOUNT', index, '(' .. now, '+inf') >= limit then
  if live_of_service() >= limit then return 0 end
end
keep(session, index, member, value, ends_at, tonumber(ttl), over)
return 1
"""
)
"""Add a session, and list it in the index of its subject.

The limit is that of the sessions which the issuer's service has for the subject. Where not all are
seen, those that are not count as well.

Answers 1 where it was added, 0 where the subject has as many sessions as it may, -1 where the id is
taken.
"""

READ_ALL = Script.of(
    _FORGET
    + _NAME
    + """
local index, answer = KEYS[1], {}
local head, over, sees_all = unpack(ARGV)
forget(index, over)
for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local value = redis.pcall('GET', name(head, member))
  -- What is no text, or lies in another slot, is no session; the others are read all the same.
  if type(value) == 'table' then value = '' end
  if value or sees_all == '' then
    answer[#answer + 1] = string.sub(member, 4)
    answer[#answer + 1] = value
  else
    redis.call('ZREM', index, member)
  end
end
return answer
"""
)
"""Read all sessions in an index.

Answers id and value of each in turn. The value is missing where the script did not see the session.
On a cluster that does not mean that there is none. The value is empty where what lies under the
name of a session cannot be read.
"""

REPLACE = Script.of(
    _TIME
    + _KEEP
    + _APPEND
    + """
local session, index, stream = KEYS[1], KEYS[2], KEYS[3]
local version, member, value, ends_at, ttl, over, message, lasting = unpack(ARGV)
if redis.call('GETRANGE', session, 1, 4) ~= version then return 0 end
if not redis.call('ZSCORE', index, member) then
  redis.call('DEL', session)
  return 0
end
if stream then append(stream, message, lasting) end
keep(session, index, member, value, ends_at, tonumber(ttl), over)
return 1
"""
)
"""Replace a session, where it still has the version that the caller has read.

Answers 1 where it was replaced, else 0. With the stream as a third key, the script then also
publishes. A session that its subject's index does not list has been lost, and is deleted:
``delete_all`` may have looked for it meanwhile.
"""

DELETE = Script.of(
    _TIME
    + _APPEND
    + """
local index, places, messages = KEYS[1], {}, {}
local count = (#ARGV - 1) / 3
local stream = KEYS[count + 2]
for number = 1, count do
  local version = redis.pcall('GETRANGE', KEYS[number + 1], 1, 4)
  if type(version) == 'table' then version = '' end
  if version == ARGV[number * 3 - 1] then
    places[#places + 1] = number
    messages[#messages + 1] = ARGV[number * 3 + 1]
  end
end
if stream and #messages > 0 then append(stream, table.concat(messages), ARGV[1]) end
for _, number in ipairs(places) do
  redis.call('DEL', KEYS[number + 1])
  redis.call('ZREM', index, ARGV[number * 3])
end
return places
"""
)
"""Delete sessions of one subject, where each still has the version that the caller has read.

Answers the places, counted from 1, of those that were deleted. With the stream as one more key, the
script also publishes the messages of these.
"""

KEEP_LIFETIME = Script.of(
    """
local kept, seconds = redis.pcall('GET', KEYS[1]), tonumber(ARGV[1])
if type(kept) == 'table' then return '' end
-- What is damaged is left as it is: nobody knows how long it was.
local is_longer = not kept or string.find(kept, '^%d+$') and tonumber(kept) < seconds
if seconds == 0 or not is_longer then return kept or '' end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
"""
)
"""Keep the longest of the lifetimes, in seconds, that were ever asked for. Answers what is kept.

The key never expires, so that no policy of eviction among keys that do ever takes it.
"""

APPEND = Script.of(
    _TIME
    + _APPEND
    + """
append(KEYS[1], ARGV[2], ARGV[1])
return 1
"""
)
"""Append an entry to the stream, and trim its head. Answers 1."""

LOOK = Script.of(
    """
local stream, from, count, form = KEYS[1], unpack(ARGV)
if redis.call('EXISTS', stream) == 0 then return {0, 0} end
local info, added = redis.call('XINFO', 'STREAM', stream), nil
for place = 1, #info, 2 do
  if info[place] == 'entries-added' then added = info[place + 1] end
end
if not added then
  return redis.error_reply('ERR a server of Redis 7 or later, or Valkey, is needed')
end
local entries, messages = redis.call('XRANGE', stream, from, '+', 'COUNT', count), {}
if #entries == 0 then return {added, 0} end
local first, last = entries[1], entries[#entries]
if form == 'apart' then return {added, #entries, first, last, entries} end
local function message_of(fields)
  local is_ours = #fields == 4 and fields[1] == 'r' and fields[3] == 'e'
  return is_ours and fields[2] or 'none of ours'
end
for place = from == '-' and 1 or 2, #entries do
  messages[#messages + 1] = message_of(entries[place][2])
end
return {added, #entries, first, last, table.concat(messages)}
"""
)
"""Look at the stream as it is at one moment, from the entry with an id on.

Answers how many entries the stream was ever given, and how many of those asked for there are. Where
there are any, these follow: the first, the last, and the messages of all but the one with the id,
in one piece, which a client parses many times faster than entries. ``apart`` asks for the entries
themselves instead.
"""
