"""A slab: room for many small entries of one size, reached by 32-bit handles.

Only storage belongs here. What an entry means, when it is due and how it is found never does.

Entries live in chunks of ``CHUNK_ENTRIES`` that never move: growing by one chunk makes no caller
wait for a copy of everything, and pointers to entries stay good until the entry is released. Each
chunk counts its own free places, so any chunk that empties is given back to the system, wherever it
lies; one empty chunk is kept, so that an entry coming and going allocates nothing. New entries go
into the chunk that has had room longest, so that those which are emptying right now are left to
empty. Bonwick, "The Slab Allocator" (USENIX 1994), is the idea.

Every entry begins with a ``slab_entry``: its expiry and two links. While an entry is free, the slab
uses its links. The same memory is thus read through several struct types, so this is compiled
without type-based alias analysis (``setup.py``). Entries start on a cache line, as those of 64
bytes and multiples of that wish. No Python object is touched and no lock taken: the caller owns
both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uintptr_t
from libc.string cimport memset


cdef enum:
    CHUNK_SHIFT = 5
    CHUNK_ENTRIES = 1 << CHUNK_SHIFT
    MAXIMUM_CHUNKS = 1 << 26  # 2**31 entries: the top bit of a link is the timer wheel's
    SLAB_LINE = 64            # bytes


cdef extern from *:
    """
    #define SLAB_NONE ((uint32_t)0xFFFFFFFFu)
    #define SLAB_FREE ((uint32_t)0xFFFFFFFEu)
    """
    uint32_t SLAB_NONE   # no entry
    uint32_t SLAB_FREE   # ``link.prev`` of a free entry


cdef struct slab_link:
    uint32_t next
    uint32_t prev


cdef struct slab_entry:
    double expires
    slab_link link


cdef struct slab_chunk:
    uint32_t used
    uint32_t free          # the first free handle, or SLAB_NONE
    slab_link partial      # the list of chunks with a free place; numbers of chunks, or SLAB_NONE
    void *memory           # as allocated; the entries begin SLAB_LINE bytes behind the chunk


cdef struct slab:
    # a vacant place holds the number of the next vacant one, shifted left, with the lowest bit set
    slab_chunk **chunks
    uint32_t entry_size
    uint32_t length        # of ``chunks`` in use, vacant places included
    uint32_t room          # of ``chunks`` as allocated
    uint32_t vacant        # the first vacant place, or SLAB_NONE
    # the first chunk with a free place, or SLAB_NONE: the one to have had one longest
    uint32_t partial
    uint32_t last_partial  # and the last
    uint32_t allocated     # chunks held
    uint32_t empty         # chunks held that have no entry
    uint32_t used          # entries


cdef inline void slab_init(slab *self, uint32_t entry_size) noexcept nogil:
    """Make an empty slab for entries of a size that is a multiple of 8."""
    memset(self, 0, sizeof(slab))
    self.entry_size = entry_size
    self.vacant = SLAB_NONE
    self.partial = self.last_partial = SLAB_NONE


cdef inline slab_chunk *slab_chunk_at(const slab *self, uint32_t number) noexcept nogil:
    """Return the chunk, or NULL at a vacant place."""
    cdef slab_chunk *chunk = self.chunks[number]
    return NULL if <uintptr_t>chunk & 1 else chunk


cdef inline slab_entry *slab_at(const slab *self, uint32_t handle) noexcept nogil:
    """Return the entry of a handle that ``slab_allocate`` gave."""
    cdef char *entries = <char *>self.chunks[handle >> CHUNK_SHIFT] + SLAB_LINE
    return <slab_entry *>(entries + (handle & (CHUNK_ENTRIES - 1)) * self.entry_size)


cdef inline size_t _slab_chunk_bytes(const slab *self) noexcept nogil:
    return 2 * SLAB_LINE + CHUNK_ENTRIES * <size_t>self.entry_size


cdef inline size_t slab_bytes(const slab *self) noexcept nogil:
    return self.room * sizeof(slab_chunk *) + self.allocated * _slab_chunk_bytes(self)


cdef inline void _slab_link_partial(slab *self, uint32_t number) noexcept nogil:
    cdef slab_chunk *chunk = self.chunks[number]
    chunk.partial.next = SLAB_NONE
    chunk.partial.prev = self.last_partial
    if self.last_partial == SLAB_NONE:
        self.partial = number
    else:
        self.chunks[self.last_partial].partial.next = number
    self.last_partial = number


cdef inline void _slab_unlink_partial(slab *self, uint32_t number) noexcept nogil:
    cdef slab_chunk *chunk = self.chunks[number]
    if chunk.partial.prev == SLAB_NONE:
        self.partial = chunk.partial.next
    else:
        self.chunks[chunk.partial.prev].partial.next = chunk.partial.next
    if chunk.partial.next == SLAB_NONE:
        self.last_partial = chunk.partial.prev
    else:
        self.chunks[chunk.partial.next].partial.prev = chunk.partial.prev


cdef inline int _slab_add_chunk(slab *self) noexcept nogil:
    cdef uint32_t number = self.vacant, room, handle, i
    cdef slab_chunk **chunks
    cdef slab_chunk *chunk
    cdef slab_entry *entry
    cdef void *memory
    if number == SLAB_NONE and self.length == self.room:
        if self.room >= MAXIMUM_CHUNKS:
            return -1
        room = self.room * 2 if self.room else 4
        chunks = <slab_chunk **>PyMem_RawRealloc(self.chunks, room * sizeof(slab_chunk *))
        if chunks == NULL:
            return -1
        self.chunks = chunks
        self.room = room
    memory = PyMem_RawMalloc(_slab_chunk_bytes(self))
    if memory == NULL:
        return -1
    chunk = <slab_chunk *>((<uintptr_t>memory + SLAB_LINE - 1) & ~<uintptr_t>(SLAB_LINE - 1))
    chunk.memory = memory
    chunk.used = 0
    if number == SLAB_NONE:
        number = self.length
        self.length += 1
    else:
        self.vacant = <uint32_t>(<uintptr_t>self.chunks[number] >> 1)
        if self.vacant == SLAB_NONE >> 1:
            self.vacant = SLAB_NONE
    self.chunks[number] = chunk
    chunk.free = number << CHUNK_SHIFT
    for i in range(CHUNK_ENTRIES):
        handle = (number << CHUNK_SHIFT) + i
        entry = slab_at(self, handle)
        entry.link.next = handle + 1 if i + 1 < CHUNK_ENTRIES else SLAB_NONE
        entry.link.prev = SLAB_FREE
    self.allocated += 1
    self.empty += 1
    _slab_link_partial(self, number)
    return 0


cdef inline void _slab_drop_chunk(slab *self, uint32_t number) noexcept nogil:
    _slab_unlink_partial(self, number)
    PyMem_RawFree(self.chunks[number].memory)
    self.chunks[number] = <slab_chunk *>(<uintptr_t>(self.vacant & 0x7FFFFFFF) << 1 | 1)
    self.vacant = number
    self.allocated -= 1
    self.empty -= 1


cdef inline uint32_t slab_allocate(slab *self) noexcept nogil:
    """Return a fresh entry, its links unset.

    Return SLAB_NONE, with nothing changed, when there is no memory.
    """
    cdef slab_chunk *chunk
    cdef slab_entry *entry
    cdef uint32_t number, handle
    if self.partial == SLAB_NONE and _slab_add_chunk(self) < 0:
        return SLAB_NONE
    number = self.partial
    chunk = self.chunks[number]
    handle = chunk.free
    entry = slab_at(self, handle)
    chunk.free = entry.link.next
    if chunk.used == 0:
        self.empty -= 1
    chunk.used += 1
    self.used += 1
    if chunk.free == SLAB_NONE:
        _slab_unlink_partial(self, number)
    entry.link.next = SLAB_NONE
    entry.link.prev = SLAB_NONE
    return handle


cdef inline void slab_release(slab *self, uint32_t handle) noexcept nogil:
    """Free an entry that nothing links to any more.

    Its chunk may go with it: every pointer to the entry is then void.
    """
    cdef uint32_t number = handle >> CHUNK_SHIFT
    cdef slab_chunk *chunk = self.chunks[number]
    cdef slab_entry *entry = slab_at(self, handle)
    if chunk.free == SLAB_NONE:
        _slab_link_partial(self, number)
    entry.link.next = chunk.free
    entry.link.prev = SLAB_FREE
    chunk.free = handle
    chunk.used -= 1
    self.used -= 1
    if chunk.used == 0:
        self.empty += 1
        if self.empty > 1:
            _slab_drop_chunk(self, number)


cdef inline void slab_free(slab *self) noexcept nogil:
    """Give all memory back. The slab is empty then, and can be used again."""
    cdef uint32_t number
    for number in range(self.length):
        if slab_chunk_at(self, number) != NULL:
            PyMem_RawFree(slab_chunk_at(self, number).memory)
    PyMem_RawFree(self.chunks)
    slab_init(self, self.entry_size)


cdef inline uint32_t slab_next_used(const slab *self, uint32_t handle) noexcept nogil:
    """Return the first entry in use from ``handle`` on, or SLAB_NONE after the last."""
    cdef uint32_t number = handle >> CHUNK_SHIFT
    cdef slab_chunk *chunk
    while number < self.length:
        chunk = slab_chunk_at(self, number)
        if chunk != NULL and chunk.used:
            while handle >> CHUNK_SHIFT == number:
                if slab_at(self, handle).link.prev != SLAB_FREE:
                    return handle
                handle += 1
        number += 1
        handle = number << CHUNK_SHIFT
    return SLAB_NONE


cdef inline const char *slab_check(const slab *self) noexcept nogil:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef uint32_t number, handle, used, total = 0, allocated = 0, empty = 0, vacant = 0
    cdef uint32_t partial = 0, expected_partial = 0
    cdef slab_chunk *chunk
    for number in range(self.length):
        chunk = slab_chunk_at(self, number)
        if chunk == NULL:
            vacant += 1
            continue
        used = CHUNK_ENTRIES
        handle = chunk.free
        while handle != SLAB_NONE:
            if handle >> CHUNK_SHIFT != number:
                return b"a chunk's list of free places leads into another chunk"
            if slab_at(self, handle).link.prev != SLAB_FREE:
                return b"a place in a list of free ones is in use"
            if used == 0:
                return b"a list of free places is longer than its chunk"
            used -= 1
            handle = slab_at(self, handle).link.next
        if used != chunk.used:
            return b"a chunk has miscounted its entries"
        total += used
        allocated += 1
        empty += used == 0
        expected_partial += used < CHUNK_ENTRIES
    number = self.partial
    while number != SLAB_NONE:
        chunk = slab_chunk_at(self, number)
        partial += 1
        if chunk == NULL or chunk.used == CHUNK_ENTRIES:
            return b"a chunk without a free place is listed as having one"
        if partial > expected_partial:
            return b"the list of chunks with a free place is too long"
        number = chunk.partial.next
    if partial != expected_partial:
        return b"a chunk with a free place is not listed as having one"
    if total != self.used or allocated != self.allocated or empty != self.empty:
        return b"the slab has miscounted its entries or its chunks"
    if empty > 1:
        return b"more than one empty chunk is kept"
    if vacant + allocated != self.length:
        return b"the slab has miscounted its vacant places"
    return NULL
