/* Records what a process does to the files below one folder, in the order in which it was done.
 *
 * Preloaded into the daemon and its workers. SPOOL_RECORD_ROOT names the folder (its real path),
 * SPOOL_RECORD_LOG the log. One record is one O_APPEND write, so that the records of all
 * processes and threads stand in one order: that in which the calls had happened.
 *
 * A change of a name and its record are one turn: another thread may see the new name, and change
 * it again, before the call has returned.
 *
 * A record is a head, then `first` bytes, then `second` bytes. Files and directories are known by
 * their inode; a name stands with the inode of its directory. See disk.py for who reads this.
 * What is not wrapped here (mmap, sendfile, ...) shows as a difference between the replayed and
 * the real folder at the end of a recording; the tests compare the two.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
    uint8_t op;
    uint8_t pad[7];
    uint64_t a, b;
    int64_t offset;
    uint32_t first, second;
};

static char root[PATH_MAX];
static size_t root_length;
static int log_fd = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define IN_TURN(call)                                                                             \
    ({                                                                                            \
        pthread_mutex_lock(&turn);                                                                \
        int returned = (call);                                                                    \
        pthread_mutex_unlock(&turn);                                                              \
        returned;                                                                                 \
    })

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("SPOOL_RECORD_ROOT"), *log = getenv("SPOOL_RECORD_LOG");
    if (!folder || !log)
        return;
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    log_fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int high = fcntl(log_fd, F_DUPFD_CLOEXEC, 900);
    if (high >= 0) {
        close(log_fd);
        log_fd = high;
    }
}

static void record(char op, uint64_t a, uint64_t b, int64_t offset, const void *first,
                   size_t first_length, const void *second, size_t second_length)
{
    struct head head = {.op = (uint8_t)op, .a = a, .b = b, .offset = offset,
                        .first = (uint32_t)first_length, .second = (uint32_t)second_length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)first, first_length},
                            {(void *)second, second_length}};
    int before = errno;
    if (REAL(writev)(log_fd, parts, 3) != (ssize_t)(sizeof head + first_length + second_length))
        abort(); /* a recording with a gap proves nothing */
    errno = before;
}

static int is_below(const char *path)
{
    return log_fd >= 0 && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == 0);
}

/* The absolute path that (directory, path) means; empty when it cannot be told. */
static void absolute(int directory, const char *path, char *out)
{
    char base[PATH_MAX] = "", link[64];
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    if (directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base))
            base[0] = 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length < 0 ? 0 : length] = 0;
    }
    if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX)
        abort();
}

static int fd_is_below(int fd)
{
    char link[64], path[PATH_MAX];
    if (log_fd < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_below(path);
}

static uint64_t inode_of(int fd)
{
    struct stat found;
    return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

/* The inode of the directory that holds `path`; `name` is set to its last part. */
static uint64_t parent_of(char *path, const char **name)
{
    struct stat found;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        path[--length] = 0;
    char *slash = strrchr(path, '/');
    *name = slash + 1;
    *slash = 0;
    uint64_t inode = stat(path[0] ? path : "/", &found) == 0 ? found.st_ino : 0;
    *slash = '/';
    return inode;
}

static void note_name(char op, const char *path, uint64_t inode)
{
    char copy[PATH_MAX];
    const char *name;
    snprintf(copy, sizeof copy, "%s", path);
    uint64_t parent = parent_of(copy, &name);
    record(op, parent, inode, 0, name, strlen(name), NULL, 0);
}

static int note_open(int fd, int flags, const char *path, int existed)
{
    if (fd < 0)
        return fd;
    if ((flags & O_CREAT) && !existed)
        note_name('C', path, inode_of(fd));
    else if (flags & O_TRUNC)
        record('T', inode_of(fd), 0, 0, NULL, 0, NULL, 0);
    return fd;
}

#define OPEN_BODY(call, directory)                                                                \
    mode_t mode = 0;                                                                              \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                          \
        va_list more;                                                                             \
        va_start(more, flags);                                                                    \
        mode = va_arg(more, mode_t);                                                              \
        va_end(more);                                                                             \
    }                                                                                             \
    char whole[PATH_MAX];                                                                         \
    absolute(directory, path, whole);                                                             \
    if (!(flags & (O_CREAT | O_TRUNC)) || !is_below(whole))                                       \
        return call;                                                                              \
    struct stat found;                                                                            \
    int existed = lstat(whole, &found) == 0;                                                      \
    return IN_TURN(note_open(call, flags, whole, existed));

int open(const char *path, int flags, ...) { OPEN_BODY(REAL(open)(path, flags, mode), AT_FDCWD) }
int open64(const char *path, int flags, ...) { OPEN_BODY(REAL(open)(path, flags, mode), AT_FDCWD) }
int openat(int at, const char *path, int flags, ...)
{
    OPEN_BODY(REAL(openat)(at, path, flags, mode), at)
}
int openat64(int at, const char *path, int flags, ...)
{
    OPEN_BODY(REAL(openat)(at, path, flags, mode), at)
}

static ssize_t note_write(int fd, const void *data, ssize_t written, off_t offset)
{
    if (written > 0 && fd_is_below(fd)) {
        if (offset < 0)
            offset = lseek(fd, 0, SEEK_CUR) - written;
        record('W', inode_of(fd), 0, offset, data, (size_t)written, NULL, 0);
    }
    return written;
}

ssize_t write(int fd, const void *data, size_t length)
{
    return note_write(fd, data, REAL(write)(fd, data, length), -1);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return note_write(fd, data, REAL(pwrite)(fd, data, length, offset), offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset)
{
    return note_write(fd, data, REAL(pwrite)(fd, data, length, offset), offset);
}

static int note_size(int fd, int done, off_t length)
{
    if (done == 0 && fd_is_below(fd))
        record('T', inode_of(fd), 0, length, NULL, 0, NULL, 0);
    return done;
}

int ftruncate(int fd, off_t length) { return note_size(fd, REAL(ftruncate)(fd, length), length); }
int ftruncate64(int fd, off_t length) { return note_size(fd, REAL(ftruncate)(fd, length), length); }

static int note_sync(int fd, int done)
{
    if (done == 0 && fd_is_below(fd))
        record('S', inode_of(fd), 0, 0, NULL, 0, NULL, 0);
    return done;
}

int fsync(int fd) { return IN_TURN(note_sync(fd, REAL(fsync)(fd))); }
int fdatasync(int fd) { return IN_TURN(note_sync(fd, REAL(fdatasync)(fd))); }

static int note_rename(int from_at, const char *from, int to_at, const char *to, int done)
{
    char source[PATH_MAX], target[PATH_MAX];
    const char *source_name, *target_name;
    absolute(from_at, from, source);
    absolute(to_at, to, target);
    if (done != 0 || !(is_below(source) || is_below(target)))
        return done;
    uint64_t source_parent = parent_of(source, &source_name);
    uint64_t target_parent = parent_of(target, &target_name);
    record('R', source_parent, target_parent, 0, source_name, strlen(source_name), target_name,
           strlen(target_name));
    return done;
}

int rename(const char *from, const char *to)
{
    return IN_TURN(note_rename(AT_FDCWD, from, AT_FDCWD, to, REAL(rename)(from, to)));
}
int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return IN_TURN(note_rename(from_at, from, to_at, to,
                               REAL(renameat)(from_at, from, to_at, to)));
}
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned int flags)
{
    return IN_TURN(note_rename(from_at, from, to_at, to,
                               REAL(renameat2)(from_at, from, to_at, to, flags)));
}

static int note_gone(int at, const char *path, int done)
{
    char whole[PATH_MAX];
    absolute(at, path, whole);
    if (done == 0 && is_below(whole))
        note_name('U', whole, 0);
    return done;
}

int unlink(const char *path) { return IN_TURN(note_gone(AT_FDCWD, path, REAL(unlink)(path))); }
int rmdir(const char *path) { return IN_TURN(note_gone(AT_FDCWD, path, REAL(rmdir)(path))); }
int unlinkat(int at, const char *path, int flags)
{
    return IN_TURN(note_gone(at, path, REAL(unlinkat)(at, path, flags)));
}

static int note_folder(int at, const char *path, int done)
{
    char whole[PATH_MAX];
    struct stat found;
    absolute(at, path, whole);
    if (done == 0 && is_below(whole) && lstat(whole, &found) == 0)
        note_name('D', whole, found.st_ino);
    return done;
}

int mkdir(const char *path, mode_t mode)
{
    return IN_TURN(note_folder(AT_FDCWD, path, REAL(mkdir)(path, mode)));
}
int mkdirat(int at, const char *path, mode_t mode)
{
    return IN_TURN(note_folder(at, path, REAL(mkdirat)(at, path, mode)));
}
