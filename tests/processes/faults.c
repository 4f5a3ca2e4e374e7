/* Lets the calls that files are made of fail, for tests. Preloaded into one process; another tells it which call, through a shared file.

   Only what is done to files of one folder counts, FAULTS_FOLDER. The numbers in the file FAULTS_CONTROL, in their order: */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static volatile struct {
    int64_t error;     /* what a call that fails sets errno to */
    int64_t countdown; /* the call that fails, from 1; 0: none */
    int64_t for_ever;  /* whether all that follow it fail as well */
    int64_t kinds;     /* which calls count: the sum of these */
    int64_t failed;    /* how many have failed */
} *control;

enum { WRITES = 1, READS = 2, LOCKS = 4, MAKES = 8, MAPS = 16 };

static char folder[PATH_MAX];

__attribute__((constructor)) static void begin(void) {
    const char *shared = getenv("FAULTS_CONTROL"), *where = getenv("FAULTS_FOLDER");
    if (shared == NULL || where == NULL || realpath(where, folder) == NULL) return;
    int file = open(shared, O_RDWR);
    void *mapped = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) control = mapped;
}

static int is_inside(const char *path) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int fails(int kind) {
    if (!(control->kinds & kind) || control->countdown == 0) return 0;
    if (control->countdown > 1) {
        control->countdown--;
        return 0;
    }
    if (!control->for_ever) control->countdown = 0;
    control->failed++;
    errno = (int)control->error;
    return 1;
}

static int path_fails(const char *path, int kind) {
    return control != NULL && path != NULL && is_inside(path) && fails(kind);
}

static int file_fails(int file, int kind) {
    char link[64], path[PATH_MAX];
    if (control == NULL || control->countdown == 0 || file < 0) return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_inside(path) && fails(kind);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define ON_FILE(kind, type, name, parameters, arguments) \
    type name parameters { return file_fails(file, kind) ? (type)-1 : REAL(name) arguments; }

ON_FILE(WRITES, ssize_t, write, (int file, const void *from, size_t count), (file, from, count))
ON_FILE(WRITES, ssize_t, pwrite, (int file, const void *from, size_t count, off_t at), (file, from, count, at))
ON_FILE(WRITES, ssize_t, pwrite64, (int file, const void *from, size_t count, off64_t at), (file, from, count, at))
ON_FILE(WRITES, int, fsync, (int file), (file))
ON_FILE(WRITES, int, fdatasync, (int file), (file))
ON_FILE(WRITES, int, ftruncate, (int file, off_t size), (file, size))
ON_FILE(WRITES, int, ftruncate64, (int file, off64_t size), (file, size))
ON_FILE(READS, ssize_t, read, (int file, void *to, size_t count), (file, to, count))
ON_FILE(READS, ssize_t, pread, (int file, void *to, size_t count, off_t at), (file, to, count, at))
ON_FILE(READS, ssize_t, pread64, (int file, void *to, size_t count, off64_t at), (file, to, count, at))

#define ON_MAP(name, offset)                                                                   \
    void *name(void *at, size_t count, int protection, int flags, int file, offset from) {     \
        return file_fails(file, MAPS) ? MAP_FAILED : REAL(name)(at, count, protection, flags, file, from); \
    }

ON_MAP(mmap, off_t)
ON_MAP(mmap64, off64_t)

#define ON_OPEN(name)                                                                            \
    int name(const char *path, int flags, ...) {                                                 \
        va_list more;                                                                            \
        va_start(more, flags);                                                                   \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                            \
        return flags & (O_WRONLY | O_RDWR) && path_fails(path, MAKES) ? -1 : REAL(name)(path, flags, mode); \
    }

ON_OPEN(open)
ON_OPEN(open64)

int link(const char *from, const char *to) { return path_fails(to, MAKES) ? -1 : REAL(link)(from, to); }
int rename(const char *from, const char *to) { return path_fails(to, MAKES) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return path_fails(path, MAKES) ? -1 : REAL(unlink)(path); }

#define ON_LOCK(name)                                                                              \
    int name(int file, int command, ...) {                                                         \
        va_list more;                                                                              \
        va_start(more, command);                                                                   \
        void *argument = va_arg(more, void *);                                                     \
        va_end(more);                                                                              \
        return command == F_SETLK && ((struct flock *)argument)->l_type == F_WRLCK && file_fails(file, LOCKS) \
                   ? -1 : REAL(name)(file, command, argument);                                     \
    }

ON_LOCK(fcntl)
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 28)
ON_LOCK(fcntl64)
#endif
#endif
