/* Notes what a process locks in a database, its -shm and its -wal, and what it writes to the database: one line
   each.

   Preloaded, with WATCH_FILE the path of the database and WATCH_LOG where the lines go. A lock is noted when it
   is had, and its end before it is given up; a write is noted before and after. So a line that says "locked"
   is never too early, and one that says "free" never too late. Of the -wal every wish for a lock is noted.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char kind_of[4096]; /* by descriptor: 'd' the database, 's' its -shm, 'w' its -wal, 0 anything else */

static char kind(int fd) { return fd >= 0 && fd < (int)sizeof kind_of ? kind_of[fd] : 0; }

/* Straight to the kernel: no line may come through what is watched here. */
static void note(const char *format, ...) {
    const char *log = getenv("WATCH_LOG");
    int before = errno;
    char line[128];
    va_list more;
    if (log == NULL) return;
    int length = snprintf(line, sizeof line, "%d ", (int)getpid());
    va_start(more, format);
    length += vsnprintf(line + length, sizeof line - length, format, more);
    va_end(more);
    line[length++] = '\n';
    long fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd < 0 || syscall(SYS_write, fd, line, length) != length) abort();
    syscall(SYS_close, fd);
    errno = before;
}

static int opened(const char *path, int fd) {
    const char *file = getenv("WATCH_FILE");
    size_t length = file == NULL ? 0 : strlen(file);
    if (length == 0 || fd < 0 || fd >= (int)sizeof kind_of || strncmp(path, file, length) != 0) return fd;
    if (path[length] == 0) kind_of[fd] = 'd';
    if (strcmp(path + length, "-shm") == 0) kind_of[fd] = 's';
    if (strcmp(path + length, "-wal") == 0) kind_of[fd] = 'w';
    return fd;
}

#define MODE(flags) ({ va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); mode; })

int open(const char *path, int flags, ...) { return opened(path, REAL(open)(path, flags, MODE(flags))); }
int open64(const char *path, int flags, ...) { return opened(path, REAL(open64)(path, flags, MODE(flags))); }
int openat(int at, const char *path, int flags, ...) {
    return opened(path, REAL(openat)(at, path, flags, MODE(flags)));
}
int openat64(int at, const char *path, int flags, ...) {
    return opened(path, REAL(openat64)(at, path, flags, MODE(flags)));
}

/* With any descriptor of a file its process closes, it loses all its locks on it. */
int close(int fd) {
    if (kind(fd)) {
        note("free %c 0 0", kind(fd));
        kind_of[fd] = 0;
    }
    return REAL(close)(fd);
}

static int lock(int fd, int command, void *argument, int (*call)(int, int, ...)) {
    struct flock *wanted = argument;
    int is_wish = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    if (kind(fd) == 'w' && is_wish) note("lock w %ld %ld", (long)wanted->l_start, (long)wanted->l_len);
    if (!kind(fd) || kind(fd) == 'w' || (command != F_SETLK && command != F_SETLKW)) return call(fd, command, argument);
    if (wanted->l_type != F_WRLCK)
        note("free %c %ld %ld", kind(fd), (long)wanted->l_start, (long)wanted->l_len);
    int result = call(fd, command, argument);
    if (result == 0 && wanted->l_type == F_WRLCK)
        note("lock %c %ld %ld", kind(fd), (long)wanted->l_start, (long)wanted->l_len);
    return result;
}

#define ARGUMENT(last) ({ va_list more; va_start(more, last); void *a = va_arg(more, void *); va_end(more); a; })

int fcntl(int fd, int command, ...) { return lock(fd, command, ARGUMENT(command), REAL(fcntl)); }
int fcntl64(int fd, int command, ...) { return lock(fd, command, ARGUMENT(command), REAL(fcntl64)); }

#define WRITING(fd, at, call) ({                                \
        if (kind(fd) == 'd') note("write d %ld 1", (long)(at)); \
        __typeof__(call) result = call;                         \
        if (kind(fd) == 'd') note("write d %ld 1", (long)(at)); \
        result; })

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    return WRITING(fd, at, REAL(pwrite)(fd, from, size, at));
}
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    return WRITING(fd, at, REAL(pwrite64)(fd, from, size, at));
}
ssize_t write(int fd, const void *from, size_t size) { return WRITING(fd, -1, REAL(write)(fd, from, size)); }
int ftruncate(int fd, off_t size) { return WRITING(fd, size, REAL(ftruncate)(fd, size)); }
int ftruncate64(int fd, off64_t size) { return WRITING(fd, size, REAL(ftruncate64)(fd, size)); }
