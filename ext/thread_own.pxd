"""What each thread has for itself, where there is no GIL: a lock is needed for nothing in it.

A ``THREAD_OWN`` pointer finds it, and the thread state's dict holds it: that frees it at the
thread's end, in whichever thread clears the state. Only the keeping belongs here.
"""


cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define HAS_GIL 0
    #if defined(_MSC_VER) && !defined(__clang__)
    #define THREAD_OWN __declspec(thread)
    #else
    #define THREAD_OWN _Thread_local
    #endif

    /* Calls ``end`` with a capsule of ``held`` when this thread ends. Its address is the key, so it
       is for one kind of thing. Returns -1, with no exception set and nothing kept, where there is
       no memory or no dict. */
    static int thread_own_keep(void *held, PyCapsule_Destructor end) {
        PyObject *own = PyThreadState_GetDict();  /* borrowed */
        PyObject *key = own == NULL ? NULL : PyLong_FromVoidPtr((void *)end);
        PyObject *capsule = key == NULL ? NULL : PyCapsule_New(held, NULL, NULL);
        int kept = capsule == NULL ? -1 : PyDict_SetItem(own, key, capsule);
        if (kept == 0) kept = PyCapsule_SetDestructor(capsule, end);
        if (kept < 0) PyErr_Clear();
        Py_XDECREF(key);
        Py_XDECREF(capsule);
        return kept;
    }
    #else
    #define HAS_GIL 1
    #define THREAD_OWN static
    #endif

    /* Spare threads the count of references to an object that all of them use and that lives as
       long as they do. From then on only the garbage collector frees it. */
    static inline void thread_own_defer(PyObject *shared) {
    #if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
        PyUnstable_Object_EnableDeferredRefcount(shared);
    #else
        (void)shared;
    #endif
    }
    """
    const bint HAS_GIL
    void thread_own_defer(object shared) noexcept
