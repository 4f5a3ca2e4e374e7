"""A queue of what has been removed from a table, until its owner has told of it and released it.

Only the order of removal belongs here. It is a ring that grows by doubling and is given back when
it runs empty. No Python object is touched and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint32_t
from libc.string cimport memset

from table.rows cimport cell


cdef enum:
    SMALLEST_RING = 32       # what a few operations remove: kept when the queue runs empty


cdef struct removal:
    cell held
    uint32_t reason


cdef struct removed_queue:
    removal *items
    uint32_t first
    uint32_t count
    uint32_t room            # a power of two


cdef inline void removed_init(removed_queue *self) noexcept nogil:
    memset(self, 0, sizeof(removed_queue))


cdef inline void removed_free(removed_queue *self) noexcept nogil:
    PyMem_RawFree(self.items)
    removed_init(self)


cdef inline removal *removed_at(const removed_queue *self, uint32_t number) noexcept nogil:
    """Return the removal before which so many wait."""
    return &self.items[(self.first + number) & (self.room - 1)]


cdef inline int removed_reserve(removed_queue *self, uint32_t more) noexcept nogil:
    """Make room for so many more. Return -1, with nothing changed, when there is no memory."""
    cdef uint32_t room = self.room if self.room else SMALLEST_RING, number
    cdef removal *items
    if self.room - self.count >= more:
        return 0
    while room - self.count < more:
        if room >= 0x40000000u:
            return -1
        room *= 2
    items = <removal *>PyMem_RawMalloc(room * sizeof(removal))
    if items == NULL:
        return -1
    for number in range(self.count):
        items[number] = removed_at(self, number)[0]
    PyMem_RawFree(self.items)
    self.items = items
    self.first = 0
    self.room = room
    return 0


cdef inline void removed_put(removed_queue *self, const cell *held, uint32_t reason) noexcept nogil:
    """Append where room was reserved."""
    cdef removal *last = removed_at(self, self.count)
    last.held = held[0]
    last.reason = reason
    self.count += 1


cdef inline bint removed_take(removed_queue *self, removal *taken) noexcept nogil:
    """Copy out what has waited longest, and forget it. Return False if nothing waits."""
    if self.count == 0:
        return False
    taken[0] = removed_at(self, 0)[0]
    self.first = (self.first + 1) & (self.room - 1)
    self.count -= 1
    if self.count == 0 and self.room > SMALLEST_RING:
        removed_free(self)
    return True
