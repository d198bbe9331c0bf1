/* Preloaded into the runner: calls that some file systems lack fail, as named in LACKS (a word each):
 * sync (fsync of folders), locks (flock), links (symlink), modes (chmod), maps (mmap of files), and
 * devices (a rename into `store` crosses file systems). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int lacks(const char *word) {
    const char *all = getenv("LACKS");
    return all && strstr(all, word);
}

static int refuse(int error) {
    errno = error;
    return -1;
}

int fsync(int file) {
    static int (*real)(int);
    struct stat found;
    if (lacks("sync") && fstat(file, &found) == 0 && S_ISDIR(found.st_mode)) return refuse(EINVAL);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    return real(file);
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
