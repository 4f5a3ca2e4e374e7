"""Shows the garbage collector what an ExpiringCache holds: its `tp_traverse` and `tp_clear`.

Only these two hooks belong here. Cython writes both for the attributes it knows. It doesn't know
the contents of a C structure, so `cache_collector_install` puts hooks around Cython's that go
through those too. They look at the contents only while these hold at least one object of a type
that can take part in a cycle.
"""

from cpython.object cimport inquiry, PyTypeObject, traverseproc
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t

from table.cache_contents cimport (
    cache_contents, cache_contents_detach, cache_contents_release, cache_contents_release_table,
    cache_contents_take, cache_contents_value,
)
from table.cache_keys cimport cache_keys_object
from table.directory cimport directory_begin, directory_each, directory_place, expiring_table
from table.removed cimport removal, removed_at
from table.rows cimport cell


# Without `noexcept`, as in Cython's own declarations, each call would be checked for an exception.
ctypedef int (*collector_visitor)(PyObject *, void *) noexcept
ctypedef int (*collector_traverser)(PyObject *, collector_visitor, void *) noexcept
ctypedef int (*collector_clearer)(PyObject *) noexcept


cdef extern from *:
    """
    static int (*cache_collector_traverse_attributes)(PyObject *, visitproc, void *);
    static int (*cache_collector_clear_attributes)(PyObject *);
    static Py_ssize_t cache_collector_offset;
    """
    collector_traverser cache_collector_traverse_attributes
    collector_clearer cache_collector_clear_attributes
    Py_ssize_t cache_collector_offset    # of the contents, in an instance


cdef inline cache_contents *_cache_collector_contents(PyObject *cache) noexcept:
    return <cache_contents *>(<char *>cache + cache_collector_offset)


cdef inline int _cache_collector_visit(
    const cell *held, collector_visitor visit, void *argument
) noexcept:
    cdef int stopped = visit(cache_keys_object(held.first), argument)
    return stopped if stopped else visit(cache_contents_value(held), argument)


cdef inline int _cache_collector_traverse(
    PyObject *cache, collector_visitor visit, void *argument
) noexcept:
    cdef cache_contents *contents = _cache_collector_contents(cache)
    cdef int stopped = cache_collector_traverse_attributes(cache, visit, argument)
    cdef directory_place place
    cdef const cell *held
    cdef uint32_t number = 0
    if stopped or contents.collectable == 0:
        return stopped
    directory_begin(&place)
    held = directory_each(&contents.table, &place)
    while held != NULL and stopped == 0:
        stopped = _cache_collector_visit(held, visit, argument)
        held = directory_each(&contents.table, &place)
    while number < contents.removed.count and stopped == 0:
        held = &removed_at(&contents.removed, number).held
        stopped = _cache_collector_visit(held, visit, argument)
        number += 1
    return stopped


cdef inline int _cache_collector_clear(PyObject *cache) noexcept:
    cdef cache_contents *contents = _cache_collector_contents(cache)
    cdef expiring_table old
    cdef removal taken
    # What is released here may still use the cache: it finds it whole, and empty.
    contents.draining = True
    cache_contents_detach(contents, &old)
    cache_contents_release_table(&old)
    while cache_contents_take(contents, &taken):
        cache_contents_release(&taken.held)
    contents.draining = False
    return cache_collector_clear_attributes(cache)


cdef inline void cache_collector_install(PyTypeObject *type, Py_ssize_t offset) noexcept:
    """Put the hooks into a type whose instances have their contents at that offset."""
    global cache_collector_traverse_attributes, cache_collector_clear_attributes
    global cache_collector_offset
    cache_collector_offset = offset
    cache_collector_traverse_attributes = <collector_traverser><void *>type.tp_traverse
    cache_collector_clear_attributes = <collector_clearer><void *>type.tp_clear
    type.tp_traverse = <traverseproc><void *>_cache_collector_traverse
    type.tp_clear = <inquiry><void *>_cache_collector_clear
