"""The table of revoked sessions: which generations of a session are refused, and until when.

An entry is a session id in its 12 bytes, the lowest generation still good, and when it ends. No
Python object is touched, no clock read and no lock taken: the caller owns those.

An entry is over when its time has come by the caller's clock. It is forgotten when its time has
come by the slowest clock (``slow_clock.pxd``): a clock that was ahead may be put right, and the
token that the entry refuses be unexpired again.

Session ids may be chosen by an attacker (``delete_one`` takes any), so a tag is mixed from an id
with a secret of this table: who does not know the secret cannot make ids collide. Entries merge by
maximum, so repeated, late or reordered messages are harmless.

Only an addition can make a session refused that was not refused before; that an entry ends or is
forgotten cannot. So the additions are counted, in parts by the session's tag, each once its entry
is in. Who was told "not refused" may believe it for as long as the count that was read before the
question stands, at any time by the clock that is no earlier than that of the question.

The lock is needed for all but what says otherwise: counts of additions and the doorbell are read
without it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from atomics cimport (
    atomics_byte, atomics_number, atomics_pointer, atomics_seconds, atomics_set_number,
)
from table.bucket cimport bucket_tag
from table.directory cimport (
    directory_begin, directory_bytes, directory_each, directory_ends, directory_first,
    directory_free, directory_init, directory_next, directory_place, expiring_table,
)
from table.rows cimport cell
from table.slow_clock cimport slow_clock, slow_clock_observe, slow_clock_time
from table.table cimport table_check, table_insert, table_move, table_reclaim, table_reclaim_all
from table.tags cimport tags_mix
from table.wheel cimport wheel_observe


cdef enum:
    ID_BYTES = 12
    LONGEST_TRUST = 1        # seconds for which a doorbell that stays the same is taken at its word
    # Steps of maintenance beside each new entry: more than one entry can ever cause.
    REVOKE_BUDGET = 20
    ADDITION_PARTS = 256     # so a logout makes few of the other sessions' tokens be asked for anew

cdef extern from *:
    """
    #define EVERY_GENERATION ((uint32_t)0xFFFFFFFFu)
    """
    uint32_t EVERY_GENERATION


cdef struct revocation:      # a table's cell
    uint8_t[ID_BYTES] id
    uint32_t before          # generations below this one are refused


cdef struct revocation_table:
    expiring_table entries
    uint64_t[2] secret
    # How many additions there were, plus 1, by the first bits of the tag: 64 bits never come round.
    uint64_t[ADDITION_PARTS] additions
    uint8_t is_fed           # whether its owner takes in news before lookups
    # While these eight bytes, on no particular boundary, stay the same there is none. NULL: news is
    # asked for before each lookup.
    const void *doorbell
    uint64_t heard           # the number when news was last taken in
    double looked_at         # and the time
    slow_clock clock         # by which entries are forgotten
    uint32_t over            # how many were over and kept when that was last counted


cdef inline uint32_t _revocation_table_tag(
    const uint8_t *id, const uint64_t *secret
) noexcept nogil:
    cdef uint64_t[2] words
    words[1] = 0
    memcpy(words, id, ID_BYTES)
    return bucket_tag(tags_mix(words[0], words[1], secret))


cdef inline uint32_t _revocation_table_tag_of(const cell *held, const void *secret) noexcept nogil:
    return _revocation_table_tag((<const revocation *>held).id, <const uint64_t *>secret)


cdef inline void revocation_table_init(
    revocation_table *self, const uint8_t *secret
) noexcept nogil:
    """Make an empty table under a secret of 16 random bytes. The structure must stay where it is.
    """
    cdef int part
    memcpy(self.secret, secret, sizeof(self.secret))
    for part in range(ADDITION_PARTS):
        self.additions[part] = 1
    directory_init(&self.entries, False, _revocation_table_tag_of, self.secret)


cdef inline void revocation_table_free(revocation_table *self) noexcept nogil:
    directory_free(&self.entries)


cdef inline uint32_t revocation_table_count(const revocation_table *self) noexcept nogil:
    """Return how many entries there are, with those that are over but have not been reclaimed."""
    return self.entries.count


cdef inline size_t revocation_table_bytes(const revocation_table *self) noexcept nogil:
    return directory_bytes(&self.entries) + sizeof(self.secret) + sizeof(self.additions)


cdef inline revocation *_revocation_table_find(
    const revocation_table *self, const uint8_t *id, uint32_t tag, directory_place *place
) noexcept nogil:
    cdef cell *held = directory_first(&self.entries, tag, place)
    while held != NULL and memcmp((<revocation *>held).id, id, ID_BYTES) != 0:
        held = directory_next(&self.entries, place)
    return <revocation *>held


cdef inline uint64_t _revocation_table_ring(const void *doorbell) noexcept nogil:
    cdef uint64_t ring = 0
    memcpy(&ring, doorbell, sizeof(ring))
    return ring


cdef inline uint64_t revocation_table_ring(revocation_table *self) noexcept nogil:
    """Return what the doorbell says now, 0 where there is none. Needs no lock."""
    cdef const void *doorbell = atomics_pointer(&self.doorbell)
    return 0 if doorbell == NULL else _revocation_table_ring(doorbell)


cdef inline bint revocation_table_have_news(revocation_table *self, double now) noexcept nogil:
    """Return whether the owner has to take in news before a lookup. Needs no lock.

    It has to where the doorbell rang, and every ``LONGEST_TRUST`` whatever the doorbell says. Who
    sees another doorbell than before sees after it, in this order, that nothing was heard from it.
    """
    cdef const void *doorbell
    cdef double looked_at
    if not atomics_byte(&self.is_fed):
        return False
    doorbell = atomics_pointer(&self.doorbell)
    if doorbell == NULL or _revocation_table_ring(doorbell) != atomics_number(&self.heard):
        return True
    looked_at = atomics_seconds(&self.looked_at)
    return not looked_at <= now < looked_at + LONGEST_TRUST


cdef inline uint8_t revocation_table_part(
    const revocation_table *self, const uint8_t *id
) noexcept nogil:
    """Return the part in which additions to the session are counted. Needs no lock."""
    return <uint8_t>(_revocation_table_tag(id, self.secret) >> 24)


cdef inline uint64_t revocation_table_additions(
    const revocation_table *self, uint8_t part
) noexcept nogil:
    """Return how many additions there were to a part, plus 1. Needs no lock."""
    return atomics_number(&self.additions[part])


cdef inline bint revocation_table_refuse(
    const revocation_table *self, const uint8_t *id, uint32_t generation, double now
) noexcept nogil:
    """Return whether access tokens of that generation of the session are refused."""
    cdef directory_place place
    cdef uint32_t tag = _revocation_table_tag(id, self.secret)
    cdef const revocation *entry = _revocation_table_find(self, id, tag, &place)
    return (
        entry != NULL
        and generation < entry.before
        and now < directory_ends(&self.entries, &place)
    )


cdef inline uint32_t revocation_table_lowest(
    const revocation_table *self, const uint8_t *id, double now
) noexcept nogil:
    """Return the lowest generation of the session whose access tokens are not refused.

    It is 0 where none is refused, and ``EVERY_GENERATION`` where all are.
    """
    cdef directory_place place
    cdef uint32_t tag = _revocation_table_tag(id, self.secret)
    cdef const revocation *entry = _revocation_table_find(self, id, tag, &place)
    if entry == NULL or now >= directory_ends(&self.entries, &place):
        return 0
    return entry.before


cdef inline uint32_t revocation_table_live(
    revocation_table *self, double now, double steady
) noexcept nogil:
    """Forget what no clock can find alive any more. Return how many entries refuse tokens now."""
    cdef directory_place place
    cdef double slow
    slow_clock_observe(&self.clock, now, steady)
    slow = slow_clock_time(&self.clock, now, steady)
    table_reclaim_all(&self.entries, slow, NULL)
    self.over = 0
    if slow < now:  # Some of those kept are over by the clock as it is.
        directory_begin(&place)
        while directory_each(&self.entries, &place) != NULL:
            self.over += directory_ends(&self.entries, &place) <= now
    return self.entries.count - self.over


cdef inline int revocation_table_add(
    revocation_table *self,
    const uint8_t *id,
    uint32_t before,
    double expires,
    double now,
    double steady,
) noexcept nogil:
    """Refuse generations below ``before`` until ``expires``, or longer where an entry says so.

    Return 1 where more generations are refused than before, else 0; -1, with nothing changed, when
    there is no memory.
    """
    cdef int is_raised = 1
    cdef bint is_longer, is_addition = True
    cdef uint64_t *additions
    cdef uint32_t tag
    cdef directory_place place
    cdef revocation *entry
    cdef revocation added
    cdef double slow
    slow_clock_observe(&self.clock, now, steady)
    slow = slow_clock_time(&self.clock, now, steady)
    if expires <= slow:
        return 0
    tag = _revocation_table_tag(id, self.secret)
    entry = _revocation_table_find(self, id, tag, &place)
    wheel_observe(&self.entries.wheel, slow)
    if entry != NULL and (
        directory_ends(&self.entries, &place) <= slow
        or directory_ends(&self.entries, &place) <= now < expires
    ):
        # It is over: what it refused is no longer to be remembered.
        entry.before = before
        table_move(&self.entries, &place, expires, True)
    elif entry != NULL:
        is_raised = before > entry.before
        is_longer = expires > directory_ends(&self.entries, &place)
        if is_raised:
            entry.before = before
        if is_longer:
            table_move(&self.entries, &place, expires, False)
        is_addition = is_raised or is_longer
    else:
        memcpy(added.id, id, ID_BYTES)
        added.before = before
        if table_insert(&self.entries, tag, expires, <const cell *>&added) < 0:
            return -1
    if is_addition:
        additions = &self.additions[tag >> 24]
        atomics_set_number(additions, additions[0] + 1)
    table_reclaim(&self.entries, slow, REVOKE_BUDGET, NULL)
    return is_raised


cdef inline const char *revocation_table_check(const revocation_table *self) noexcept nogil:
    """Return what is wrong with the table as a sentence, for tests; NULL where all of it holds."""
    return table_check(&self.entries)
