/* A disk of the tests' own, put under the binary by LD_PRELOAD.
 *
 * DISK_STATE: the path of the state file. Only it, its -wal and its -journal, and their folder are touched.
 * DISK_RECORD: a file to which every change and every sync is added, in order, as they return:
 *              operation (1 byte), file (1 byte), offset (8 bytes), length (8 bytes), the bytes written.
 * DISK_FAULT: a file; while it is there, it names an operation and the number of the error with which it fails:
 *             "write 5", "sync 5", "read 5", "open 30".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 65536
/* By descriptor: 'm' the state file, 'w' its -wal, 'j' its -journal, 'd' their folder, 0 anything else. */
static char opened[FILES_MAX];

static char kind_of_path(const char *path) {
    const char *state = getenv("DISK_STATE");
    if (state == NULL || path == NULL) return 0;
    size_t length = strlen(state);
    if (strncmp(path, state, length) == 0) {
        const char *ending = path + length;
        if (strcmp(ending, "") == 0) return 'm';
        if (strcmp(ending, "-wal") == 0) return 'w';
        if (strcmp(ending, "-journal") == 0) return 'j';
        return 0;
    }
    const char *slash = strrchr(state, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - state);
    return strlen(path) == folder && strncmp(path, state, folder) == 0 ? 'd' : 0;
}

static char kind_of(int fd) { return fd >= 0 && fd < FILES_MAX ? opened[fd] : 0; }

static void record(char operation, char file, uint64_t offset, uint64_t length, const void *bytes) {
    static int to = -1;
    if (to == -1) {
        const char *path = getenv("DISK_RECORD");
        to = path == NULL ? -2 : (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    }
    if (to < 0) return;
    char head[18] = {operation, file};
    memcpy(head + 2, &offset, 8);
    memcpy(head + 10, &length, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, bytes == NULL ? 0 : length}};
    if (writev(to, parts, 2) != (ssize_t)(parts[0].iov_len + parts[1].iov_len)) abort();
}

/* Whether this operation is to fail now; errno says how. */
static int fails(const char *operation) {
    const char *path = getenv("DISK_FAULT");
    if (path == NULL) return 0;
    int before = errno;
    int from = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (from < 0) {
        errno = before;
        return 0;
    }
    char text[64] = {0}, named[32] = "";
    int number = 0;
    ssize_t length = syscall(SYS_read, from, text, sizeof text - 1);
    syscall(SYS_close, from);
    if (length > 0 && sscanf(text, "%31s %d", named, &number) == 2 && strcmp(named, operation) == 0) {
        errno = number;
        return 1;
    }
    errno = before;
    return 0;
}

static int open_file(int folder, const char *path, int flags, mode_t mode) {
    char kind = kind_of_path(path);
    if (kind != 0 && kind != 'd' && (flags & O_ACCMODE) != O_RDONLY && fails("open")) return -1;
    int is_new = kind != 0 && (flags & O_CREAT) && faccessat(folder, path, F_OK, 0) != 0;
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && fd < FILES_MAX) opened[fd] = kind;
    if (fd >= 0 && is_new) record('C', kind, 0, 0, NULL);
    return fd;
}

#define MODE(flags)                                          \
    mode_t mode = 0;                                         \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                   \
        va_list more;                                        \
        va_start(more, flags);                               \
        mode = va_arg(more, mode_t);                         \
        va_end(more);                                        \
    }
int open(const char *path, int flags, ...) { MODE(flags) return open_file(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_file(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_file(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_file(folder, path, flags, mode); }

int close(int fd) {
    if (fd >= 0 && fd < FILES_MAX) opened[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    char kind = kind_of(fd);
    if (kind != 0 && fails("write")) return -1;
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (kind != 0 && written > 0) record('W', kind, (uint64_t)offset, (uint64_t)written, bytes);
    return written;
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

/* Written without an offset, which nothing does to the state, could not be told where. */
ssize_t write(int fd, const void *bytes, size_t length) {
    if (kind_of(fd) != 0) abort();
    return syscall(SYS_write, fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
    if (kind_of(fd) != 0 && fails("read")) return -1;
    return syscall(SYS_pread64, fd, bytes, length, offset);
}
ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return pread64(fd, bytes, length, offset); }

int ftruncate64(int fd, off64_t length) {
    char kind = kind_of(fd);
    if (kind != 0 && fails("write")) return -1;
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (kind != 0 && done == 0) record('T', kind, (uint64_t)length, 0, NULL);
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int sync_file(int number, int fd) {
    char kind = kind_of(fd);
    if (kind != 0 && fails("sync")) return -1;
    int done = (int)syscall(number, fd);
    if (kind != 0 && done == 0) record('S', kind, 0, 0, NULL);
    return done;
}
int fsync(int fd) { return sync_file(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_file(SYS_fdatasync, fd); }

int unlink(const char *path) {
    char kind = kind_of_path(path);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (kind != 0 && done == 0) record('U', kind, 0, 0, NULL);
    return done;
}
