"""Rows of eight entries, packed without a gap: what the buckets of a table keep their entries in.

Only storage belongs here. Rows lie in chunks of ``ROW_CHUNK`` that never move, so growing copies
nothing. A row that is given up is filled with the last one, whose owner is told; so memory is
returned chunk by chunk however the survivors are scattered, and what is held is what is used.

A chunk is three or four pages. In a table of some size each is mapped by itself, so that the system
has it back at once: what is given back to the allocator in the middle of its heap stays there.

A row begins with its eight expiries, one cache line, and goes on with eight cells of 16 bytes, two
lines: what an entry is, which only the owner of the table knows. A table that evicts keeps eight
sequence numbers behind them. In a table that keeps tags, each chunk holds the first half of them
beside its rows, which so remain whole cache lines; the other half is the mark in the bucket. A few
empty chunks are kept, so that rows which come and go allocate nothing. No Python object is touched
and no lock taken: the caller owns both.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset


cdef enum:
    ROW_ENTRIES = 8
    ROW_CHUNK_SHIFT = 6
    ROW_CHUNK = 1 << 6       # rows
    CACHE_LINE = 64          # bytes
    SPARE_CHUNKS = 16        # one chunk is kept empty for so many in use, and one more
    ROW_CHUNKS_OF_HEAP = 8   # the first ones: what a small table has is the allocator's


cdef extern from *:
    """
    #define ROW_NONE ((uint32_t)0xFFFFFFFFu)
    #if defined(__linux__) || defined(__APPLE__)
    #include <sys/mman.h>
    static inline void *rows_map(size_t bytes) {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
        return memory == MAP_FAILED ? NULL : memory;
    }
    #define rows_unmap(memory, bytes) munmap(memory, bytes)
    #else
    #define rows_map(bytes) NULL
    #define rows_unmap(memory, bytes) ((void)(memory))
    #endif
    """
    uint32_t ROW_NONE
    void *rows_map(size_t bytes) noexcept nogil          # NULL where it cannot be had
    void rows_unmap(void *memory, size_t bytes) noexcept nogil


cdef struct cell:
    uint64_t first
    uint64_t last


cdef struct row:
    double[ROW_ENTRIES] expires
    cell[ROW_ENTRIES] cells
    uint64_t[ROW_ENTRIES] sequences  # only in a table that evicts


cdef struct row_chunk:
    char *rows               # on a cache line's start: in the memory behind this, or mapped
    bint mapped
    uint32_t[ROW_CHUNK] owners
    # The first 16 bits of each tag, behind those of the row before; only where tags are kept.
    uint16_t[ROW_CHUNK * ROW_ENTRIES] tag_heads


cdef struct row_pool:
    row_chunk **chunks
    uint32_t row_size
    uint32_t head_size       # of a chunk, rows not counted
    uint32_t count           # rows
    uint32_t room            # of ``chunks``
    uint32_t allocated       # chunks held


cdef inline void rows_init(row_pool *self, bint tagged, bint sequenced) noexcept nogil:
    cdef row_chunk chunk
    memset(self, 0, sizeof(row_pool))
    self.head_size = sizeof(row_chunk) if tagged else sizeof(row_chunk) - sizeof(chunk.tag_heads)
    self.row_size = sizeof(row) if sequenced else sizeof(row) - ROW_ENTRIES * sizeof(uint64_t)


cdef inline row *rows_at(const row_pool *self, uint32_t handle) noexcept nogil:
    cdef char *rows = self.chunks[handle >> ROW_CHUNK_SHIFT].rows
    return <row *>(rows + (handle & (ROW_CHUNK - 1)) * self.row_size)


cdef inline size_t _rows_chunk_bytes(const row_pool *self) noexcept nogil:
    return self.head_size + CACHE_LINE + ROW_CHUNK * <size_t>self.row_size


cdef inline size_t rows_bytes(const row_pool *self) noexcept nogil:
    return self.room * sizeof(row_chunk *) + self.allocated * _rows_chunk_bytes(self)


cdef inline row_chunk *_rows_new_chunk(const row_pool *self) noexcept nogil:
    cdef size_t bytes = ROW_CHUNK * <size_t>self.row_size
    cdef row_chunk *chunk
    cdef void *mapped = rows_map(bytes) if self.allocated >= ROW_CHUNKS_OF_HEAP else NULL
    if mapped == NULL:
        chunk = <row_chunk *>PyMem_RawMalloc(_rows_chunk_bytes(self))
    else:
        chunk = <row_chunk *>PyMem_RawMalloc(self.head_size)
    if chunk == NULL:
        if mapped != NULL:
            rows_unmap(mapped, bytes)
        return NULL
    chunk.mapped = mapped != NULL
    if mapped == NULL:
        mapped = <char *>chunk + self.head_size + CACHE_LINE - 1
        mapped = <void *>(<uintptr_t>mapped & ~<uintptr_t>(CACHE_LINE - 1))
    chunk.rows = <char *>mapped
    return chunk


cdef inline void _rows_drop_chunk(row_pool *self) noexcept nogil:
    """Give the last chunk back."""
    cdef row_chunk *chunk
    self.allocated -= 1
    chunk = self.chunks[self.allocated]
    if chunk.mapped:
        rows_unmap(chunk.rows, ROW_CHUNK * <size_t>self.row_size)
    PyMem_RawFree(chunk)


cdef inline uint32_t *rows_owner(const row_pool *self, uint32_t handle) noexcept nogil:
    return &self.chunks[handle >> ROW_CHUNK_SHIFT].owners[handle & (ROW_CHUNK - 1)]


cdef inline uint16_t *rows_tag_heads(const row_pool *self, uint32_t handle) noexcept nogil:
    """Return where the first halves of a row's tags lie, in a table that keeps them."""
    cdef row_chunk *chunk = self.chunks[handle >> ROW_CHUNK_SHIFT]
    return &chunk.tag_heads[(handle & (ROW_CHUNK - 1)) * ROW_ENTRIES]


cdef inline int _rows_grow(row_pool *self) noexcept nogil:
    cdef uint32_t room = self.room * 2 if self.room else 4
    cdef row_chunk **chunks
    cdef row_chunk *chunk
    if self.allocated == self.room:
        chunks = <row_chunk **>PyMem_RawRealloc(self.chunks, room * sizeof(row_chunk *))
        if chunks == NULL:
            return -1
        self.chunks = chunks
        self.room = room
    chunk = _rows_new_chunk(self)
    if chunk == NULL:
        return -1
    self.chunks[self.allocated] = chunk
    self.allocated += 1
    return 0


cdef inline uint32_t rows_add(row_pool *self, uint32_t owner) noexcept nogil:
    """Add a row, its contents unset. Return ROW_NONE, with nothing changed, when there is no
    memory.
    """
    cdef uint32_t handle = self.count
    if handle == self.allocated << ROW_CHUNK_SHIFT and _rows_grow(self) < 0:
        return ROW_NONE
    self.count += 1
    rows_owner(self, handle)[0] = owner
    return handle


cdef inline uint32_t rows_drop(row_pool *self, uint32_t handle) noexcept nogil:
    """Give a row up, and let the last row take its place.

    Return the old handle of the row that moved, whose owner must learn of it, or ROW_NONE.
    """
    cdef uint32_t last = self.count - 1, moved = ROW_NONE, used
    if handle != last:
        memcpy(rows_at(self, handle), rows_at(self, last), self.row_size)
        rows_owner(self, handle)[0] = rows_owner(self, last)[0]
        if self.head_size == sizeof(row_chunk):
            memcpy(
                rows_tag_heads(self, handle), rows_tag_heads(self, last),
                ROW_ENTRIES * sizeof(uint16_t),
            )
        moved = last
    self.count = last
    used = (last + ROW_CHUNK - 1) >> ROW_CHUNK_SHIFT
    while self.allocated > used + 1 + used // SPARE_CHUNKS:
        _rows_drop_chunk(self)
    return moved


cdef inline void rows_free(row_pool *self) noexcept nogil:
    """Give all memory back. The pool is empty then, and can be used again."""
    while self.allocated:
        _rows_drop_chunk(self)
    PyMem_RawFree(self.chunks)
    self.chunks = NULL
    self.count = self.room = 0
