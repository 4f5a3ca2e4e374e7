"""The front: verified tokens that a thread keeps for itself, where there is no GIL.

A token found here costs no lock, no reference to an object that threads share, and no write to
memory that they share. Behind it is the memory of verified tokens, which all threads share under
its verifier's lock. Only keeping and dropping belong here; comparing texts is the caller's.

A thread has one front for all verifiers. An entry holds the claims that this thread made of a
token, and the token in the shared memory that they were made from. It counts only under the number
that its verifier had then, its epoch, which is never given out twice in the process.

What the shared memory drops, no front may answer any more: see ``Verifier.recall``. But its memory
may be held here until another token needs the place. So a front holds at most 1,024 tokens and
4 MiB, and no more than the verifier that fills it may remember: each thread can hold as much beyond
``cache_size`` and ``cache_bytes``.

With a GIL there is no front.
"""

from libc.stdint cimport uint32_t, uint64_t

from atomics cimport atomics_next       # whose C is used here
from thread_own cimport thread_own_defer  # whose C is used here


cdef extern from *:
    """
    enum { FRONT_SETS = 256, FRONT_WAYS = 4, FRONT_TOKENS = FRONT_SETS * FRONT_WAYS };
    #define FRONT_BYTES 4194304  /* 4 MiB */

    typedef struct {  /* two cache lines: what is not here is mostly told by the first */
        uint32_t tags[FRONT_WAYS];
        uint32_t costs[FRONT_WAYS];
        uint64_t epochs[FRONT_WAYS];  /* 0 where nothing is held */
        PyObject *known[FRONT_WAYS];
        PyObject *origins[FRONT_WAYS];
    } front_set;

    #ifdef Py_GIL_DISABLED
    typedef struct {
        front_set sets[FRONT_SETS];
        Py_ssize_t tokens;
        Py_ssize_t bytes;
    } front;

    static THREAD_OWN front *front_here = NULL;
    static uint64_t front_epochs = 0;

    static void front_drop(front *self, front_set *home, int way) {
        PyObject *known = home->known[way], *origin = home->origins[way];
        home->epochs[way] = 0;
        self->tokens--;
        self->bytes -= home->costs[way];
        Py_DECREF(known);
        Py_DECREF(origin);
    }

    static void front_clear(front *self) {
        for (int place = 0; place < FRONT_SETS; place++)
            for (int way = 0; way < FRONT_WAYS; way++)
                if (self->sets[place].epochs[way]) front_drop(self, &self->sets[place], way);
    }

    /* A forked child clears the states of the threads that it does not have. */
    static void front_end(PyObject *capsule) {
        front *self = PyCapsule_GetPointer(capsule, NULL);
        if (front_here == self) front_here = NULL;
        front_clear(self);
        PyMem_RawFree(self);
    }

    static front *front_begin(void) {
        front *self = PyMem_RawCalloc(1, sizeof(front));
        if (self != NULL && thread_own_keep(self, front_end) < 0) {
            PyMem_RawFree(self);
            self = NULL;
        }
        return front_here = self;
    }

    /* The set in which this thread keeps a token of that tag; NULL where it has no front. */
    static inline front_set *front_of(uint32_t tag) {
        return front_here == NULL ? NULL : &front_here->sets[tag % FRONT_SETS];
    }

    static inline uint64_t front_next_epoch(void) { return atomics_next(&front_epochs); }

    /* Keeps a token beside at most so many others, and in place of the one kept longest in its set.
       Does nothing where there is no memory for a front. */
    static void front_keep(
        uint32_t tag, uint64_t epoch, PyObject *known, PyObject *origin, Py_ssize_t cost,
        Py_ssize_t most_tokens, Py_ssize_t most_bytes) {
        front *self = front_here != NULL ? front_here : front_begin();
        front_set *home;
        int way = 0;
        if (self == NULL) return;
        if (most_bytes > FRONT_BYTES) most_bytes = FRONT_BYTES;
        if (cost > most_bytes) return;
        home = &self->sets[tag % FRONT_SETS];
        while (way < FRONT_WAYS - 1 && home->epochs[way]) way++;
        if (home->epochs[way]) front_drop(self, home, way);
        if (self->tokens >= most_tokens || self->bytes + cost > most_bytes) front_clear(self);
        for (; way > 0; way--) {
            home->tags[way] = home->tags[way - 1];
            home->costs[way] = home->costs[way - 1];
            home->epochs[way] = home->epochs[way - 1];
            home->known[way] = home->known[way - 1];
            home->origins[way] = home->origins[way - 1];
        }
        Py_INCREF(known);
        Py_INCREF(origin);
        home->tags[0] = tag;
        home->costs[0] = (uint32_t)cost;
        home->epochs[0] = epoch;
        home->known[0] = known;
        home->origins[0] = origin;
        self->tokens++;
        self->bytes += cost;
    }
    #else
    static inline front_set *front_of(uint32_t tag) { (void)tag; return NULL; }
    static inline uint64_t front_next_epoch(void) { return 1; }
    static inline void front_keep(
        uint32_t tag, uint64_t epoch, PyObject *known, PyObject *origin, Py_ssize_t cost,
        Py_ssize_t most_tokens, Py_ssize_t most_bytes) {}
    #endif
    """
    enum:
        FRONT_WAYS
    ctypedef struct front_set:
        uint32_t *tags
        uint64_t *epochs
        void **known
        void **origins
    front_set *front_of(uint32_t tag) noexcept
    uint64_t front_next_epoch() noexcept
    void front_keep(
        uint32_t tag, uint64_t epoch, object known, object origin, Py_ssize_t cost,
        Py_ssize_t most_tokens, Py_ssize_t most_bytes) noexcept
