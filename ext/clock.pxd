"""``time.time`` and ``time.monotonic`` as they stand at the moment, without the detour through
Python, and the steady clock that nothing moves.

The compiled twin of the clocks in ``src/tokenwheel/seconds.py``, which says who moves them.

Python's own clock is read where the interpreter itself reads it; on Linux that is the same to the
last bit. But a test may have put another in its place: in the module (freezegun, monkeypatch), or
inside the function object (time-machine). So each reading first makes sure that neither has
happened. For the module that takes one comparison: CPython up to 3.11 counts a dict's changes, and
later ones tell a watcher of them. Where it has happened, -1 is returned, and the caller asks
Python.

What Python's own is, cannot be told from its name when the first import comes in the midst of a
test. So a function is taken for Python's own only once it has told a time between two readings of
the clock behind it.

Threads without a GIL share all this without a lock of its own. What a reading looks at is written
rarely, and read in the order in which it becomes true. Only looking into the module takes that
dict's lock, under which its changes are told and made.
"""

from atomics cimport atomics_number  # whose C is used here

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    static int clock_real_time(double *now) {
        PyTime_t ticks;
        if (PyTime_TimeRaw(&ticks) < 0) return -1;
        *now = PyTime_AsSecondsDouble(ticks);
        return 0;
    }
    static int clock_steady(double *now) {
        PyTime_t ticks;
        if (PyTime_MonotonicRaw(&ticks) < 0) return -1;
        *now = PyTime_AsSecondsDouble(ticks);
        return 0;
    }
    #elif defined(__linux__)
    #include <time.h>
    /* Whole nanoseconds are divided, as Python does it. So no bit differs from time.time(). */
    static int clock_real_time(double *now) {
        struct timespec reading;
        if (clock_gettime(CLOCK_REALTIME, &reading) < 0) return -1;
        *now = (double)((long long)reading.tv_sec * 1000000000 + reading.tv_nsec) / 1e9;
        return 0;
    }
    static int clock_steady(double *now) {
        struct timespec reading;
        if (clock_gettime(CLOCK_MONOTONIC, &reading) < 0) return -1;
        *now = (double)((long long)reading.tv_sec * 1000000000 + reading.tv_nsec) / 1e9;
        return 0;
    }
    #else
    static int clock_real_time(double *now) { return -1; }
    static int clock_steady(double *now) { return -1; }
    #endif

    typedef struct {
        int (*read)(double *);  /* the clock behind Python's own function */
        PyObject *name;
        const void *function;   /* Python's own; NULL until it was met, and then kept */
        PyCFunction method;     /* what that consists of, unless a test has put another there */
        uint64_t version;       /* of the module, as long as the function stands there; else 0 */
    } clock_source;

    static clock_source clock_of_time = {clock_real_time, NULL, NULL, NULL, 0};
    static clock_source clock_of_monotonic = {clock_steady, NULL, NULL, NULL, 0};
    static PyObject *clock_module;  /* the dict of the module ``time`` */

    #if PY_VERSION_HEX < 0x030C0000
    static const int clock_is_watched = 1;
    static int clock_watch(void) { return 0; }
    static inline uint64_t clock_version(void) {
        return ((PyDictObject *)clock_module)->ma_version_tag;
    }
    #else
    static uint64_t clock_changes = 1;
    static int clock_is_watched;
    static int clock_note(
        PyDict_WatchEvent event, PyObject *dict, PyObject *name, PyObject *value
    ) {
        atomics_next(&clock_changes);
        return 0;
    }
    static int clock_watch(void) {  /* An interpreter has eight watchers, and may be out of them. */
        int watcher = PyDict_AddWatcher(clock_note);
        clock_is_watched = watcher >= 0 && PyDict_Watch(watcher, clock_module) == 0;
        PyErr_Clear();
        return 0;
    }
    static inline uint64_t clock_version(void) {
        return atomics_number(&clock_changes);
    }
    #endif

    static int clock_begin(void) {
        PyObject *module = PyImport_ImportModule("time");
        if (module == NULL) return -1;
        clock_module = PyModule_GetDict(module);
        Py_XINCREF(clock_module);
        Py_DECREF(module);
        clock_of_time.name = PyUnicode_InternFromString("time");
        clock_of_monotonic.name = PyUnicode_InternFromString("monotonic");
        if (!clock_module || !clock_of_time.name || !clock_of_monotonic.name) return -1;
        return clock_watch();
    }

    static PyCFunction clock_method(const clock_source *self) {
        return ((const PyCFunctionObject *)self->function)->m_ml->ml_meth;
    }

    static int clock_is_behind(const clock_source *self, PyObject *function) {
        double before = 0, after = 0, told;
        for (int attempt = 0; attempt < 3; attempt++) {  /* The clock may be set in between. */
            PyObject *answer;
            if (self->read(&before) < 0) return 0;
            answer = PyObject_CallNoArgs(function);
            if (answer == NULL) {
                PyErr_Clear();
                return 0;
            }
            told = PyFloat_CheckExact(answer) ? PyFloat_AS_DOUBLE(answer) : -1;
            Py_DECREF(answer);
            if (self->read(&after) == 0 && before <= told && told <= after) return 1;
        }
        return 0;
    }

    /* What stands in the module, a new reference, and the version by which it does. */
    static PyObject *clock_found(const clock_source *self, uint64_t *version) {
        PyObject *found;
    #ifdef Py_GIL_DISABLED
        Py_BEGIN_CRITICAL_SECTION(clock_module);
        *version = clock_version();
        if (PyDict_GetItemRef(clock_module, self->name, &found) < 0) PyErr_Clear();
        Py_END_CRITICAL_SECTION();
    #else
        *version = clock_version();
        found = PyDict_GetItem(clock_module, self->name);
        Py_XINCREF(found);
    #endif
        return found;
    }

    /* Take a function for Python's own from now on. Of two threads that meet one each at the same
       time, the first decides. */
    static void clock_keep(clock_source *self, PyObject *function) {
    #ifdef Py_GIL_DISABLED
        Py_BEGIN_CRITICAL_SECTION(clock_module);
    #endif
        if (self->function == NULL) {
            Py_INCREF(function);
            self->method = ((PyCFunctionObject *)function)->m_ml->ml_meth;
            atomics_set_pointer(&self->function, function);
        }
    #ifdef Py_GIL_DISABLED
        Py_END_CRITICAL_SECTION();
    #endif
    }

    /* Look into the module. Return whether Python's own function stands there, unchanged. */
    static int clock_look(clock_source *self) {
        uint64_t version;
        PyObject *found = clock_found(self, &version);
        int is_own = 0;
        atomics_set_number(&self->version, 0);
        if (found != NULL && PyCFunction_CheckExact(found)) {
            if (atomics_pointer(&self->function) == NULL && clock_is_behind(self, found))
                clock_keep(self, found);
            is_own = found == atomics_pointer(&self->function)
                && clock_method(self) == self->method;
        }
        Py_XDECREF(found);
        if (is_own && clock_is_watched) atomics_set_number(&self->version, version);
        return is_own;
    }

    static inline int clock_stands(const clock_source *self) {
        return atomics_number(&self->version) == clock_version()
            && clock_method(self) == self->method;
    }

    static inline int clock_wall(double *now) {
        if (!clock_stands(&clock_of_time) && !clock_look(&clock_of_time)) return -1;
        return clock_real_time(now);
    }

    static inline int clock_monotonic(double *now) {
        if (!clock_stands(&clock_of_monotonic) && !clock_look(&clock_of_monotonic)) return -1;
        return clock_steady(now);
    }

    static inline int clock_monotonic_again(double *now) {
        return clock_stands(&clock_of_monotonic) ? clock_steady(now) : -1;
    }

    static inline int clock_glance(double *now) {
    #if defined(__linux__)
        struct timespec reading;
        if (!clock_stands(&clock_of_monotonic) && !clock_look(&clock_of_monotonic)) return -1;
        if (clock_gettime(CLOCK_MONOTONIC_COARSE, &reading) < 0) return clock_steady(now);
        *now = (double)reading.tv_sec + 1e-9 * (double)reading.tv_nsec;
        return 0;
    #else
        return clock_monotonic(now);
    #endif
    }
    """
    int clock_begin() except -1                       # before anything else here

    # Each returns 0, or -1 where Python has to be asked.
    int clock_wall(double *now) noexcept              # ``time.time`` as it stands: Unix seconds
    int clock_monotonic(double *now) noexcept         # ``time.monotonic`` as it stands
    int clock_monotonic_again(double *now) noexcept   # the same, and surely no Python code runs
    int clock_steady(double *now) noexcept nogil      # the clock that nothing moves

    # ``clock_monotonic`` as of the kernel's last tick, some milliseconds ago: never ahead. An exact
    # reading makes the processor wait for all that it has asked memory for; this one does not.
    int clock_glance(double *now) noexcept
