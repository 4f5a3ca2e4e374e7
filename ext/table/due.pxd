"""When a bucket is due: the expiry of its first entry, kept on the timer wheel and in the heap.

Only the order of time between the entries of a bucket and the bucket itself belongs here. The wheel
and the heap hold buckets, each under the expiry of the entry in it that ends first.
"""

from libc.math cimport INFINITY
from libc.stdint cimport uint32_t, uint64_t

from table.bits cimport bits_take
from table.bucket cimport bucket, bucket_occupied
from table.directory cimport (
    DIRECTORY_LAST, directory_bucket, directory_expires, directory_sequence, expiring_table,
)
from table.heap cimport heap_move
from table.wheel cimport wheel_cancel, wheel_schedule


cdef inline double due_soonest(
    const expiring_table *self, const bucket *home, uint64_t *sequence, uint32_t *slot
) noexcept nogil:
    """Find the bucket's entry that ends first. Return its expiry, or infinity for an empty bucket.

    In a table that evicts it is, of several that end first, the one set longest ago. Its sequence
    number is written, and its slot where there is an entry.
    """
    cdef double soonest = INFINITY, expires
    cdef uint64_t occupied = bucket_occupied(home), set_at
    cdef uint32_t candidate
    sequence[0] = DIRECTORY_LAST
    while occupied:
        candidate = bits_take(&occupied)
        expires = directory_expires(self, home, candidate)[0]
        if expires > soonest:
            continue
        set_at = directory_sequence(self, home, candidate)[0] if self.ranked else 0
        if expires < soonest or set_at < sequence[0]:
            soonest = expires
            sequence[0] = set_at
            slot[0] = candidate
    return soonest


cdef inline void due_renew(expiring_table *self, uint32_t handle) noexcept nogil:
    """Find anew when the bucket's first entry ends, and schedule that.

    The bucket may be on the wheel or off.
    """
    cdef bucket *home = directory_bucket(self, handle)
    cdef uint64_t sequence
    cdef uint32_t slot
    wheel_cancel(&self.wheel, &self.buckets, handle)
    home.expires = due_soonest(self, home, &sequence, &slot)
    wheel_schedule(&self.wheel, &self.buckets, handle)
    if self.ranked:
        heap_move(&self.heap, &self.buckets, handle, sequence)


cdef inline void due_lower(
    expiring_table *self, uint32_t handle, double expires, uint64_t sequence
) noexcept nogil:
    """Take into account an entry that has come to the bucket, or has been given that expiry."""
    cdef bucket *home = directory_bucket(self, handle)
    if expires < home.expires:
        wheel_cancel(&self.wheel, &self.buckets, handle)
        home.expires = expires
        wheel_schedule(&self.wheel, &self.buckets, handle)
    elif (
        not self.ranked
        or expires > home.expires
        or sequence > self.heap.nodes[home.place].sequence
    ):
        return
    if self.ranked:
        heap_move(&self.heap, &self.buckets, handle, sequence)
