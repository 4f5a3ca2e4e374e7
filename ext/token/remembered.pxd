"""The places of the remembered tokens, by the number that the index has for each.

A place holds a reference to a token, or is free. No reference is let go of here and no lock is
taken. Nothing here waits for another thread either, so what the caller's lock keeps whole stays so:
a lock of an object of Python's would be given up while its holder waits for another.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t
from libc.string cimport memset


cdef struct remembered:      # begins as zeros
    PyObject **tokens        # NULL at a free place
    uint32_t *free_places
    uint32_t used            # places that hold a token or are free
    uint32_t free_count
    uint32_t capacity


cdef inline int remembered_reserve(remembered *self) noexcept nogil:
    """Make sure of a free place. Return -1 when there is no memory."""
    cdef size_t capacity
    cdef PyObject **tokens
    cdef uint32_t *free_places
    if self.free_count or self.used < self.capacity:
        return 0
    capacity = <size_t>self.capacity + (self.capacity >> 1) + 16
    tokens = <PyObject **>PyMem_RawRealloc(self.tokens, capacity * sizeof(PyObject *))
    if tokens == NULL:
        return -1
    self.tokens = tokens
    free_places = <uint32_t *>PyMem_RawRealloc(self.free_places, capacity * sizeof(uint32_t))
    if free_places == NULL:
        return -1
    self.free_places = free_places
    self.capacity = <uint32_t>capacity
    return 0


cdef inline uint32_t remembered_put(remembered *self, PyObject *token) noexcept nogil:
    """Hold a token at a free place, which has been reserved. Return which one that is."""
    cdef uint32_t place = self.used
    if self.free_count:
        self.free_count -= 1
        place = self.free_places[self.free_count]
    else:
        self.used += 1
    self.tokens[place] = token
    return place


cdef inline PyObject *remembered_take(remembered *self, uint32_t place) noexcept nogil:
    """Free a place that holds a token. Return the token, whose reference is the caller's now."""
    cdef PyObject *token = self.tokens[place]
    self.tokens[place] = NULL
    self.free_places[self.free_count] = place
    self.free_count += 1
    return token


cdef inline void remembered_free(remembered *self) noexcept nogil:
    """Give the memory back, once no token is held any more."""
    PyMem_RawFree(self.tokens)
    PyMem_RawFree(self.free_places)
    memset(self, 0, sizeof(remembered))


cdef inline const char *remembered_check(const remembered *self) noexcept nogil:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef uint32_t place, other, held = 0
    for place in range(self.used):
        held += self.tokens[place] != NULL
    for place in range(self.free_count):
        if self.free_places[place] >= self.used or self.tokens[self.free_places[place]] != NULL:
            return b"an occupied place is listed as free"
        for other in range(place):
            if self.free_places[place] == self.free_places[other]:
                return b"a free place is listed as free twice"
    if held + self.free_count != self.used:
        return b"a free place is not listed as free"
    return NULL
