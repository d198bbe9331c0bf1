/* Preloaded into the runner: calls that some file systems lack fail, as named in LACKS (a word each):
 * sync (fsync of folders), locks (flock), links (symlink), modes (chmod), maps (mmap of files), and
 * devices (a rename into `store` crosses file systems), space-0 and space-1 (the disk of this rank of the kernel is
 * full), and end (a write to the disk of the kernel's rank 0 has none). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int lacks(const char *word) {
    const char *all = getenv("LACKS");
    return all && strstr(all, word);
}

static int refuse(int error) {
    errno = error;
    return -1;
}

int flock(int file, int operation) {
    static int (*real)(int, int);
    if (lacks("locks")) return refuse(ENOLCK);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "flock");
    return real(file, operation);
}

int symlink(const char *target, const char *path) {
    static int (*real)(const char *, const char *);
    if (lacks("links")) return refuse(EPERM);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "symlink");
    return real(target, path);
}

int symlinkat(const char *target, int folder, const char *path) {
    static int (*real)(const char *, int, const char *);
    if (lacks("links")) return refuse(EPERM);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "symlinkat");
    return real(target, folder, path);
}

int fchmod(int file, mode_t mode) {
    static int (*real)(int, mode_t);
    if (lacks("modes")) return refuse(EPERM);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fchmod");
    return real(file, mode);
}

int chmod(const char *path, mode_t mode) {
    static int (*real)(const char *, mode_t);
    if (lacks("modes")) return refuse(EPERM);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "chmod");
    return real(path, mode);
}

void *mmap(void *at, size_t length, int protection, int flags, int file, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (lacks("maps") && file >= 0) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "mmap");
    return real(at, length, protection, flags, file, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int file, off64_t offset) {
    return mmap(at, length, protection, flags, file, offset);
}

static int crosses(const char *from, const char *to) {
    int in = strstr(to, "/store/") != NULL, out = strstr(from, "/store/") != NULL;
    return lacks("devices") && in != out;
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (crosses(from, to)) return refuse(EXDEV);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "rename");
    return real(from, to);
}

int renameat(int at, const char *from, int into, const char *to) {
    static int (*real)(int, const char *, int, const char *);
    if (crosses(from, to)) return refuse(EXDEV);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "renameat");
    return real(at, from, into, to);
}

/* Which rank of a kernel this process is; -1 if it is none. */
static int own_rank(void) {
    static int known = -2;
    if (known != -2) return known;
    known = -1;
    char text[4096] = {0};
    int file = open("/proc/self/cmdline", O_RDONLY);
    ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    if (length > 0 && strstr(text, "tinyrun-kernel")) {
        /* --join HOST PORT RANK SIZE */
        const char *word = text;
        int place = 0, join = -10;
        known = 0;
        for (; word < text + length; word += strlen(word) + 1, place++) {
            if (strcmp(word, "--join") == 0) join = place;
            if (place == join + 3) known = atoi(word);
        }
    }
    return known;
}

static int is_full(int file) {
    struct stat found;
    const char *word = own_rank() == 0 ? "space-0" : own_rank() == 1 ? "space-1" : NULL;
    return word && lacks(word) && file > 2 && fstat(file, &found) == 0 && S_ISREG(found.st_mode);
}

ssize_t write(int file, const void *bytes, size_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    if (is_full(file)) return refuse(ENOSPC);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "write");
    return real(file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (is_full(file)) return refuse(ENOSPC);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
    return real(file, bytes, length, at);
}

int fsync(int file) {
    static int (*real)(int);
    struct stat found;
    if (lacks("sync") && fstat(file, &found) == 0 && S_ISDIR(found.st_mode)) return refuse(EINVAL);
    if (lacks("end") && own_rank() == 0) sleep(3600);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    return real(file);
}
