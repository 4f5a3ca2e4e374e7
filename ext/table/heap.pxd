"""A binary heap: which entry of a slab expires soonest and, among equals, was set longest ago.

Only the order of eviction belongs here; the timer wheel knows what is due, in cheaper and coarser
steps, and never this.

Theory: Williams, "Algorithm 232: Heapsort" (CACM 1964). Each entry remembers its place, so that any
of them can leave or move in logarithmic time. What is compared lies in the heap's own array, to
spare a visit to the slab per comparison.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from table.slab cimport SLAB_NONE, slab, slab_at, slab_link


cdef struct heap_entry:
    double expires
    slab_link link
    uint32_t place          # in the heap


cdef struct heap_node:
    double expires
    uint64_t sequence
    uint32_t handle


cdef struct expiry_heap:
    heap_node *nodes
    uint32_t count
    uint32_t room


cdef inline void heap_init(expiry_heap *self) noexcept nogil:
    memset(self, 0, sizeof(expiry_heap))


cdef inline void heap_free(expiry_heap *self) noexcept nogil:
    PyMem_RawFree(self.nodes)
    heap_init(self)


cdef inline size_t heap_bytes(const expiry_heap *self) noexcept nogil:
    return self.room * sizeof(heap_node)


cdef inline uint32_t heap_first(const expiry_heap *self) noexcept nogil:
    """Return the entry that expires soonest, or SLAB_NONE."""
    return self.nodes[0].handle if self.count else SLAB_NONE


cdef inline bint _heap_before(const heap_node *node, const heap_node *other) noexcept nogil:
    return node.expires < other.expires or (
        node.expires == other.expires and node.sequence < other.sequence
    )


cdef inline void _heap_put(
    expiry_heap *self, const slab *entries, uint32_t place, const heap_node *node
) noexcept nogil:
    self.nodes[place] = node[0]
    (<heap_entry *>slab_at(entries, node.handle)).place = place


cdef inline void _heap_settle(
    expiry_heap *self, const slab *entries, uint32_t place, heap_node node
) noexcept nogil:
    """Put the node where it belongs, starting from a place that is free."""
    cdef uint32_t other
    while place > 0 and _heap_before(&node, &self.nodes[(place - 1) // 2]):
        other = (place - 1) // 2
        _heap_put(self, entries, place, &self.nodes[other])
        place = other
    while True:
        other = 2 * place + 1
        if other + 1 < self.count and _heap_before(&self.nodes[other + 1], &self.nodes[other]):
            other += 1
        if other >= self.count or not _heap_before(&self.nodes[other], &node):
            break
        _heap_put(self, entries, place, &self.nodes[other])
        place = other
    _heap_put(self, entries, place, &node)


cdef inline int _heap_resize(expiry_heap *self, uint32_t room) noexcept nogil:
    cdef heap_node *nodes = <heap_node *>PyMem_RawRealloc(self.nodes, room * sizeof(heap_node))
    if nodes == NULL:
        return -1
    self.nodes = nodes
    self.room = room
    return 0


cdef inline int heap_insert(
    expiry_heap *self, const slab *entries, uint32_t handle, uint64_t sequence
) noexcept nogil:
    """Add an entry. Return -1, with nothing changed, when there is no memory."""
    cdef heap_node node
    if self.count == self.room and _heap_resize(self, self.room * 2 if self.room else 16) < 0:
        return -1
    node.expires = slab_at(entries, handle).expires
    node.sequence = sequence
    node.handle = handle
    self.count += 1
    _heap_settle(self, entries, self.count - 1, node)
    return 0


cdef inline void heap_remove(
    expiry_heap *self, const slab *entries, uint32_t handle
) noexcept nogil:
    cdef uint32_t place = (<heap_entry *>slab_at(entries, handle)).place
    self.count -= 1
    if place != self.count:
        _heap_settle(self, entries, place, self.nodes[self.count])
    if self.room > 16 and self.count < self.room // 4:
        _heap_resize(self, self.room // 2)


cdef inline void heap_move(
    expiry_heap *self, const slab *entries, uint32_t handle, uint64_t sequence
) noexcept nogil:
    """Follow a change of the entry's expiry. A sequence of 0 keeps the one it has."""
    cdef uint32_t place = (<heap_entry *>slab_at(entries, handle)).place
    cdef heap_node node = self.nodes[place]
    node.expires = slab_at(entries, handle).expires
    if sequence:
        node.sequence = sequence
    _heap_settle(self, entries, place, node)


cdef inline const char *heap_check(const expiry_heap *self, const slab *entries) noexcept nogil:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef uint32_t place
    cdef heap_node *node
    for place in range(self.count):
        node = &self.nodes[place]
        if place > 0 and not _heap_before(&self.nodes[(place - 1) // 2], node):
            return b"a bucket comes before another that ends sooner"
        if (<heap_entry *>slab_at(entries, node.handle)).place != place:
            return b"a bucket does not know its place in the heap"
        if slab_at(entries, node.handle).expires != node.expires:
            return b"the heap knows another expiry than the bucket"
    return NULL
