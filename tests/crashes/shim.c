/* Stands between a program and the files of one folder (LD_PRELOAD; Linux, 64 bits).

   It counts their calls. When armed it ends the process before the n-th of them or in the middle of it, or has
   it fail. It can also write down, in their order, all writes, syncs and changes of the folder, so that a test
   can tell what a power cut would have left. Tests reach the shim_ functions through ctypes. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
/* With 64 bits the two names of a call mean the same; SQLite uses the second, Python both. */
#define SAME(name) extern __typeof__(name) name##64 __attribute__((alias(#name)))

/* These numbers are known to shim.py. */
enum kind { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, RESIZE = 16, REMOVE = 32, LOCK = 64, MAP = 128, STAT = 256 };
enum deed { KILL = 1, TEAR, FAIL, FAIL_EVER, FAIL_SHORT };
enum verdict { GO_ON, HALF, REFUSED };

#define MOST_FILES 4096

static char folder[4096];
static const char *names[MOST_FILES]; /* by descriptor: the watched file behind it */
static struct { int kinds, deed, error; long at; } plan;
static long counted;
static int record = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

/* --- which files ------------------------------------------------------------------------------- */

static const char *name_in_folder(const char *path)
{
    size_t length = strlen(folder);
    if (!length || strncmp(path, folder, length))
        return NULL;
    if (!path[length])
        return ".";
    return path[length] == '/' ? path + length + 1 : NULL;
}

static const char *name_of(int fd) { return fd >= 0 && fd < MOST_FILES ? names[fd] : NULL; }

/* --- what becomes of a call --------------------------------------------------------------------- */

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static enum verdict judge(const char *name, int kind)
{
    if (!name || !(plan.kinds & kind))
        return GO_ON;
    long number = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    int is_due = number == plan.at;
    int is_over = number > plan.at && (plan.deed == FAIL_EVER || plan.deed == FAIL_SHORT);
    if (!plan.at || !(is_due || is_over))
        return GO_ON;
    if (plan.deed == KILL)
        die();
    if (is_due && kind == WRITE && (plan.deed == TEAR || plan.deed == FAIL_SHORT))
        return HALF;
    if (plan.deed == TEAR)
        return GO_ON;
    errno = plan.error;
    return REFUSED;
}

/* --- the record: one header per event, then the name, then the data ------------------------------- */

struct header { char event; unsigned char name; int16_t error, spare[2]; int64_t offset, size; };

static void lock(int type)
{
    struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
    syscall(SYS_fcntl, record, F_SETLKW, &whole); /* among processes; the mutex is for threads */
}

static void begin(void)
{
    if (record < 0)
        return;
    pthread_mutex_lock(&order);
    lock(F_WRLCK);
}

static void end(void)
{
    int kept = errno;
    if (record < 0)
        return;
    lock(F_UNLCK);
    pthread_mutex_unlock(&order);
    errno = kept;
}

static void put(const void *data, size_t size)
{
    while (size) {
        long done = syscall(SYS_write, record, data, size);
        if (done <= 0)
            die();
        data = (const char *)data + done;
        size -= done;
    }
}

static void note(char event, const char *name, int error, int64_t offset, const void *data, int64_t size)
{
    struct header header = { event, strlen(name), error, { 0, 0 }, offset, size };
    int kept = errno;
    if (record >= 0) {
        put(&header, sizeof header);
        put(name, header.name);
        put(data, data ? size : 0);
    }
    errno = kept;
}

/* --- what tests call ------------------------------------------------------------------------------ */

void shim_watch(const char *path) { strncpy(folder, path, sizeof folder - 1); }

void shim_arm(int kinds, int deed, int error, long at)
{
    counted = 0;
    plan.kinds = kinds, plan.deed = deed, plan.error = error, plan.at = at;
}

long shim_disarm(void)
{
    plan.kinds = 0;
    return counted;
}

void shim_record(int fd) { record = fd; }

void shim_note(const char *text)
{
    begin();
    note('N', "", 0, 0, text, strlen(text));
    end();
}

/* --- the calls ------------------------------------------------------------------------------------ */

static int opened(const char *path, int flags, mode_t mode)
{
    const char *name = name_in_folder(path);
    if (judge(name, OPEN) == REFUSED)
        return -1;
    begin();
    int is_new = name && (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    int fd = REAL(open)(path, flags, mode);
    if (name && fd >= 0 && fd < MOST_FILES)
        names[fd] = strdup(name);
    if (is_new && fd >= 0)
        note('C', name, 0, 0, NULL, 0);
    end();
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return opened(path, flags, mode);
}
SAME(open);

int close(int fd)
{
    if (fd >= 0 && fd < MOST_FILES)
        names[fd] = NULL;
    return REAL(close)(fd);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    return judge(name_of(fd), READ) == REFUSED ? -1 : REAL(pread)(fd, data, size, offset);
}
SAME(pread);

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    const char *name = name_of(fd);
    enum verdict verdict = judge(name, WRITE);
    if (verdict == REFUSED)
        return -1;
    begin();
    ssize_t done = REAL(pwrite)(fd, data, verdict == HALF ? size / 2 : size, offset);
    if (name && done > 0)
        note('W', name, 0, offset, data, done);
    end();
    if (verdict == HALF && plan.deed == TEAR)
        die();
    return done;
}
SAME(pwrite);

ssize_t write(int fd, const void *data, size_t size)
{
    const char *name = name_of(fd);
    if (judge(name, WRITE) == REFUSED)
        return -1;
    begin();
    off_t offset = name ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t done = REAL(write)(fd, data, size);
    if (offset >= 0 && done > 0) /* else it is a pipe */
        note('W', name, 0, offset, data, done);
    end();
    return done;
}

static int synced(int fd, int (*sync)(int))
{
    const char *name = name_of(fd);
    /* A folder that can not be synced would prove nothing: SQLite does not look at the answer. */
    enum verdict verdict = judge(name && strcmp(name, ".") ? name : NULL, SYNC);
    begin();
    int answer = verdict == REFUSED ? -1 : sync(fd);
    if (name)
        note('S', name, answer ? errno : 0, 0, NULL, 0);
    end();
    return answer;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }

int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int ftruncate(int fd, off_t size)
{
    const char *name = name_of(fd);
    if (judge(name, RESIZE) == REFUSED)
        return -1;
    begin();
    int answer = REAL(ftruncate)(fd, size);
    if (name && !answer)
        note('T', name, 0, 0, NULL, size);
    end();
    return answer;
}
SAME(ftruncate);

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return judge(name_of(fd), RESIZE) == REFUSED ? -1 : REAL(fallocate)(fd, mode, offset, size);
}
SAME(fallocate);

int posix_fallocate(int fd, off_t offset, off_t size)
{
    return judge(name_of(fd), RESIZE) == REFUSED ? errno : REAL(posix_fallocate)(fd, offset, size);
}
SAME(posix_fallocate);

int unlink(const char *path)
{
    const char *name = name_in_folder(path);
    if (judge(name, REMOVE) == REFUSED)
        return -1;
    begin();
    int answer = REAL(unlink)(path);
    if (name && !answer)
        note('U', name, 0, 0, NULL, 0);
    end();
    return answer;
}

int fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    struct flock *lock = va_arg(rest, struct flock *);
    va_end(rest);
    int is_lock = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    if (is_lock && judge(name_of(fd), LOCK) == REFUSED)
        return -1;
    return REAL(fcntl)(fd, command, lock);
}
SAME(fcntl);

void *mmap(void *place, size_t size, int protection, int flags, int fd, off_t offset)
{
    return judge(name_of(fd), MAP) == REFUSED ? MAP_FAILED
                                              : REAL(mmap)(place, size, protection, flags, fd, offset);
}
SAME(mmap);

int stat(const char *path, struct stat *found)
{
    return judge(name_in_folder(path), STAT) == REFUSED ? -1 : REAL(stat)(path, found);
}

int stat64(const char *path, struct stat64 *found)
{
    return judge(name_in_folder(path), STAT) == REFUSED ? -1 : REAL(stat64)(path, found);
}

int fstat(int fd, struct stat *found)
{
    return judge(name_of(fd), STAT) == REFUSED ? -1 : REAL(fstat)(fd, found);
}

int fstat64(int fd, struct stat64 *found)
{
    return judge(name_of(fd), STAT) == REFUSED ? -1 : REAL(fstat64)(fd, found);
}
