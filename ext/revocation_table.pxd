"""Revoked sessions as C structures: slab, index and timer wheel, 32 bytes an entry.

An entry is a session id in its 12 bytes, the lowest generation still good, and when it ends. No Python object is touched, no clock read and no
lock taken: the caller owns those.

Session ids may be chosen by an attacker (``delete_one`` takes any), so a tag is mixed from an id with a secret of this table:
who does not know the secret cannot make ids collide. Entries merge by maximum, so repeated, late or reordered messages are harmless.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from index cimport (
    INDEX_NONE, hash_index, index_bytes, index_check, index_cursor, index_find_first, index_find_next, index_free, index_init, index_insert,
    index_remove,
)
from slab cimport (
    SLAB_NONE, slab, slab_allocate, slab_at, slab_bytes, slab_check, slab_entry, slab_free, slab_init, slab_link, slab_next_used, slab_release,
)
from tags cimport secret_tag
from wheel cimport timer_wheel, wheel_cancel, wheel_check, wheel_init, wheel_linked, wheel_next_due, wheel_next_exact, wheel_observe, wheel_schedule


cdef enum:
    ID_BYTES = 12
    REVOKE_BUDGET = 16       # steps of maintenance beside each new entry; an entry costs at most eight in its life

cdef extern from *:
    """
    #define EVERY_GENERATION ((uint32_t)0xFFFFFFFFu)
    """
    uint32_t EVERY_GENERATION


cdef struct revocation:
    double expires
    slab_link link
    uint32_t before          # generations below this one are refused
    uint8_t[ID_BYTES] id


cdef struct revocation_table:
    slab entries
    hash_index index
    timer_wheel wheel
    uint64_t[2] secret


cdef inline void revocations_init(revocation_table *self, const uint8_t *secret) noexcept nogil:
    """``secret`` is 16 random bytes."""
    slab_init(&self.entries, sizeof(revocation))
    index_init(&self.index)
    wheel_init(&self.wheel)
    memcpy(self.secret, secret, sizeof(self.secret))


cdef inline void revocations_free(revocation_table *self) noexcept nogil:
    slab_free(&self.entries)
    index_free(&self.index)


cdef inline size_t revocations_bytes(const revocation_table *self) noexcept nogil:
    return sizeof(revocation_table) + slab_bytes(&self.entries) + index_bytes(&self.index)


cdef inline revocation *_revocation_at(const revocation_table *self, uint32_t handle) noexcept nogil:
    return <revocation *>slab_at(&self.entries, handle)


cdef inline uint32_t _revocation_tag(const revocation_table *self, const uint8_t *id) noexcept nogil:
    cdef uint64_t words[2]
    words[1] = 0
    memcpy(words, id, ID_BYTES)
    return secret_tag(words[0], words[1], self.secret)


cdef inline uint32_t _revocation_find(const revocation_table *self, const uint8_t *id, uint32_t tag) noexcept nogil:
    cdef index_cursor cursor
    cdef uint32_t handle = index_find_first(&self.index, tag, &cursor)
    while handle != INDEX_NONE:
        if memcmp(_revocation_at(self, handle).id, id, ID_BYTES) == 0:
            return handle
        handle = index_find_next(&cursor)
    return SLAB_NONE


cdef inline bint revocations_refuse(const revocation_table *self, const uint8_t *id, uint32_t generation, double now) noexcept nogil:
    """Whether that generation of the session is refused now."""
    cdef uint32_t handle = _revocation_find(self, id, _revocation_tag(self, id))
    cdef revocation *entry
    if handle == SLAB_NONE:
        return False
    entry = _revocation_at(self, handle)
    return generation < entry.before and now < entry.expires


cdef inline void _revocation_remove(revocation_table *self, uint32_t handle) noexcept nogil:
    wheel_cancel(&self.wheel, &self.entries, handle)
    index_remove(&self.index, _revocation_tag(self, _revocation_at(self, handle).id), handle)
    slab_release(&self.entries, handle)


cdef inline void revocations_reclaim(revocation_table *self, double now, int budget) noexcept nogil:
    """Forget what is over, in at most so many steps."""
    cdef int64_t target = wheel_observe(&self.wheel, now)
    cdef uint32_t handle
    while True:
        handle = wheel_next_due(&self.wheel, &self.entries, target, &budget)
        if handle == SLAB_NONE:
            return
        if _revocation_at(self, handle).expires <= now:
            _revocation_remove(self, handle)
        else:
            wheel_schedule(&self.wheel, &self.entries, handle)


cdef inline uint32_t revocations_reclaim_all(revocation_table *self, double now) noexcept nogil:
    """Forget everything that is over by the exact clock; how many entries that was."""
    cdef uint32_t before = self.index.count, handle, cursor = SLAB_NONE
    revocations_reclaim(self, now, 0x7FFFFFFF)
    while True:
        handle = wheel_next_exact(&self.wheel, &self.entries, now, &cursor)
        if handle == SLAB_NONE:
            return before - self.index.count
        _revocation_remove(self, handle)


cdef inline int revocations_add(revocation_table *self, const uint8_t *id, uint32_t before, double expires, double now) noexcept nogil:
    """Refuse generations below ``before`` until ``expires``, or longer where an entry says so. -1 when there is no memory: nothing changed."""
    cdef uint32_t tag = _revocation_tag(self, id), handle = _revocation_find(self, id, tag)
    cdef revocation *entry
    if handle != SLAB_NONE and _revocation_at(self, handle).expires <= now:
        _revocation_remove(self, handle)  # It is over: what it refused is no longer to be remembered.
        handle = SLAB_NONE
    if handle == SLAB_NONE:
        handle = slab_allocate(&self.entries)
        if handle == SLAB_NONE:
            return -1
        entry = _revocation_at(self, handle)
        entry.expires = expires
        entry.before = before
        memcpy(entry.id, id, ID_BYTES)
        if index_insert(&self.index, tag, handle) < 0:
            slab_release(&self.entries, handle)
            return -1
        wheel_observe(&self.wheel, now)
        wheel_schedule(&self.wheel, &self.entries, handle)
    else:
        entry = _revocation_at(self, handle)
        if before > entry.before:
            entry.before = before
        if expires > entry.expires:
            wheel_cancel(&self.wheel, &self.entries, handle)
            entry.expires = expires
            wheel_schedule(&self.wheel, &self.entries, handle)
    revocations_reclaim(self, now, REVOKE_BUDGET)
    return 0


cdef inline int revocations_check(revocation_table *self) noexcept nogil:
    """Every invariant, for tests: 0, or the number of the rule that is broken: tens for the part, ones for its rule."""
    cdef uint32_t handle = slab_next_used(&self.entries, 0), used = 0
    cdef int broken = slab_check(&self.entries)
    if broken:
        return 10 + broken
    broken = index_check(&self.index)
    if broken:
        return 20 + broken
    broken = wheel_check(&self.wheel, &self.entries)
    if broken:
        return 30 + broken
    while handle != SLAB_NONE:
        used += 1
        if not wheel_linked(slab_at(&self.entries, handle)):
            return 41
        if _revocation_find(self, _revocation_at(self, handle).id, _revocation_tag(self, _revocation_at(self, handle).id)) != handle:
            return 42
        handle = slab_next_used(&self.entries, handle + 1)
    return 0 if used == self.index.count else 43
