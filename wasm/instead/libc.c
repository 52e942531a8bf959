/*
 * The module has no operating system. What OpenSSL and emscripten's libc would ask one for is answered here, so that
 * the only imports left are entropy and the clock. This file is linked before the archives: a function defined here
 * is never pulled in from libc, and neither is what libc's own version would import.
 *
 * Everything that fails does so as on a system without files, environment and sockets, with an errno that says so.
 * Almost all of it is unreachable and removed by the linker; OpenSSL's archives only name it.
 */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasm_simd128.h>

/* ---- entropy ---------------------------------------------------------------------------------------------- */

__attribute__((import_module("host"), import_name("random_get"))) int host_random_get(void *buffer, size_t length);

/*
 * All random numbers are from here: see random.c. The toolchain's own version aborts: a standalone module has no
 * entropy.
 */
int getentropy(void *buffer, size_t length) {
    if (host_random_get(buffer, length) == 0) return 0;
    errno = EIO;
    return -1;
}

/* ---- the clock -------------------------------------------------------------------------------------------- */

/*
 * Nanoseconds. WASI's own has a 64-bit parameter, for which engines compile glue at the first call, milliseconds long;
 * this one has random_get's type, and shares its glue.
 */
__attribute__((import_module("host"), import_name("clock_get"))) int host_clock_get(int clock, uint64_t *nanoseconds);

uint16_t __wasi_clock_time_get(uint32_t clock, uint64_t precision, uint64_t *nanoseconds);
uint16_t __wasi_clock_time_get(uint32_t clock, uint64_t precision, uint64_t *nanoseconds) {
    (void)precision;
    return (uint16_t)host_clock_get((int)clock, nanoseconds);
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

int __real_emscripten_resize_heap(size_t size);
int __wrap_emscripten_resize_heap(size_t size);

/* malloc asks for 64 KiB more whenever it runs short, and each growth detaches every ArrayBuffer on the memory; an
 * engine that cannot grow in place copies all of it. An eighth of what is there makes that rare. */
int __wrap_emscripten_resize_heap(size_t size) {
    size_t now = (size_t)__builtin_wasm_memory_size(0) * 65536;
    if (now + now / 8 > size && __real_emscripten_resize_heap(now + now / 8)) return 1;
    return __real_emscripten_resize_heap(size);
}

void *emscripten_builtin_malloc(size_t);
void *emscripten_builtin_calloc(size_t, size_t);
void emscripten_builtin_free(void *);

/* How often there was none. OpenSSL forgets some of its errors; who has to be sure compares this before and after. */
unsigned wassl_failed_allocations;

static void *given(void *block) {
    if (block == NULL) wassl_failed_allocations++;
    return block;
}

void *malloc(size_t size) { return given(emscripten_builtin_malloc(size)); }
void *calloc(size_t count, size_t size) { return given(emscripten_builtin_calloc(count, size)); }

/*
 * What is given back is overwritten, whoever gives it back: OpenSSL does so with keys, but not with all that is made of
 * them, nor with what was encrypted. The toolchain's own functions do the rest.
 */
void free(void *block) {
    if (block == NULL) return;
    /*
     * 4 or 12 more than a multiple of 16, and 12 at least. Most are small, and a call of memset would take longer than
     * that.
     */
    size_t size = malloc_usable_size(block);
    char *at = block, *end = at + size;
    if (size < 16) {
        *(volatile uint64_t *)at = 0;
        *(volatile uint32_t *)(end - 4) = 0;
    } else if (size <= 512) {
        for (; end - at > 16; at += 16) *(volatile v128_t *)at = wasm_i64x2_splat(0);
        *(volatile v128_t *)(end - 16) = wasm_i64x2_splat(0);
    } else {
        memset(block, 0, size);
    }
    emscripten_builtin_free(block);
}

/* A block that moves leaves nothing behind either; the toolchain's would. */
void *realloc(void *block, size_t size) {
    size_t had = block == NULL ? 0 : malloc_usable_size(block);
    if (size <= had && had - size < 64) return block;
    void *moved = malloc(size);
    if (moved == NULL) return NULL;
    if (block != NULL) memcpy(moved, block, size < had ? size : had);
    free(block);
    return moved;
}

/* ---- order ------------------------------------------------------------------------------------------------ */

/*
 * Merge sort: what is equal keeps its order. libc's does not keep it, and of two trust anchors with one name an
 * X509_STORE takes the first: which one that is must not depend on what else is in the store.
 */
static void put(char *to, const char *from, size_t size) {
    if (size == sizeof(void *)) memcpy(to, from, sizeof(void *));
    else memcpy(to, from, size);
}

/* `spare` has room for half of them. */
static void sort(char *all, size_t count, size_t size, char *spare, int (*compare)(const void *, const void *)) {
    if (count < 2) return;
    size_t half = count / 2;
    char *right = all + half * size, *end = all + count * size, *left = spare, *left_end = spare + half * size;
    sort(all, half, size, spare, compare);
    sort(right, count - half, size, spare, compare);
    if (compare(right - size, right) <= 0) return;
    memcpy(spare, all, half * size);
    for (; left < left_end; all += size) {
        char **next = right < end && compare(left, right) > 0 ? &right : &left;
        put(all, *next, size);
        *next += size;
    }
}

/*
 * Of what is short, and without memory, since sorting cannot fail: by insertion. Nobody here sorts what is larger than `one`;
 * the instance ends rather than go on with what is not sorted.
 */
void qsort(void *all, size_t count, size_t size, int (*compare)(const void *, const void *)) {
    char one[64], *at = all, *spare = count < 8 ? NULL : malloc(count / 2 * size);
    if (spare != NULL) sort(all, count, size, spare, compare);
    else if (size > sizeof one) __builtin_trap();
    else
        for (size_t i = 1; i < count; i++) {
            size_t j = i;
            while (j > 0 && compare(at + (j - 1) * size, at + i * size) > 0) j--;
            memcpy(one, at + i * size, size);
            memmove(at + (j + 1) * size, at + j * size, (i - j) * size);
            memcpy(at + j * size, one, size);
        }
    free(spare);
}

/* ---- environment ------------------------------------------------------------------------------------------ */

/* No variable may steer a TLS library from outside (OPENSSL_CONF, SSL_CERT_FILE, SSLKEYLOGFILE …): there are none. */
char *getenv(const char *name) {
    (void)name;
    return NULL;
}

/* The same for OpenSSL's own question; its version would compare user and group ids, which do not exist here. */
int OPENSSL_issetugid(void);
int OPENSSL_issetugid(void) { return 1; }

/* ---- files ------------------------------------------------------------------------------------------------ */
/* OpenSSL is configured with no-stdio; what remains are certificate directories and the "file:" store. */

int stat(const char *restrict path, struct stat *restrict result) {
    (void)path, (void)result;
    errno = ENOENT;
    return -1;
}

DIR *opendir(const char *path) {
    (void)path;
    errno = ENOENT;
    return NULL;
}

struct dirent *readdir(DIR *directory) {
    (void)directory;
    errno = EBADF;
    return NULL;
}

int closedir(DIR *directory) {
    (void)directory;
    errno = EBADF;
    return -1;
}

ssize_t read(int fd, void *buffer, size_t length) {
    (void)fd, (void)buffer, (void)length;
    errno = EBADF;
    return -1;
}

ssize_t write(int fd, const void *buffer, size_t length) {
    (void)fd, (void)buffer, (void)length;
    errno = EBADF;
    return -1;
}

int close(int fd) {
    (void)fd;
    errno = EBADF;
    return -1;
}

int ioctl(int fd, int request, ...) {
    (void)fd, (void)request;
    errno = EBADF;
    return -1;
}

/* OpenSSL's single use is to read the port of a URL, also while it checks the name constraints of a certificate. The
 * general version would bring 20 KiB, half of it arithmetic on long double. Any other use traps and is noticed. */
int sscanf(const char *restrict text, const char *restrict format, ...) {
    if (strcmp(format, "%u") != 0 && strcmp(format, "%d") != 0) abort();
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text) return *text == '\0' ? EOF : 0;
    va_list arguments;
    va_start(arguments, format);
    *va_arg(arguments, unsigned *) = (unsigned)value;
    va_end(arguments);
    return 1;
}

/* ---- sockets ---------------------------------------------------------------------------------------------- */
/* no-sock would also remove the memory pair for datagrams, and DTLS with it. So the socket BIOs are compiled, and
 * without these functions emscripten would export helpers of its JavaScript sockets from the module. */

static int no_sockets(void) {
    errno = ENOSYS;
    return -1;
}

int socket(int a, int b, int c) { (void)a, (void)b, (void)c; return no_sockets(); }
int bind(int a, const struct sockaddr *b, socklen_t c) { (void)a, (void)b, (void)c; return no_sockets(); }
int listen(int a, int b) { (void)a, (void)b; return no_sockets(); }
int accept(int a, struct sockaddr *restrict b, socklen_t *restrict c) { (void)a, (void)b, (void)c; return no_sockets(); }
int connect(int a, const struct sockaddr *b, socklen_t c) { (void)a, (void)b, (void)c; return no_sockets(); }
int shutdown(int a, int b) { (void)a, (void)b; return no_sockets(); }
int poll(struct pollfd *a, nfds_t b, int c) { (void)a, (void)b, (void)c; return no_sockets(); }

int getsockname(int a, struct sockaddr *restrict b, socklen_t *restrict c) {
    (void)a, (void)b, (void)c;
    return no_sockets();
}

int getpeername(int a, struct sockaddr *restrict b, socklen_t *restrict c) {
    (void)a, (void)b, (void)c;
    return no_sockets();
}

int getsockopt(int a, int b, int c, void *restrict d, socklen_t *restrict e) {
    (void)a, (void)b, (void)c, (void)d, (void)e;
    return no_sockets();
}

int setsockopt(int a, int b, int c, const void *d, socklen_t e) {
    (void)a, (void)b, (void)c, (void)d, (void)e;
    return no_sockets();
}

ssize_t recvfrom(int a, void *restrict b, size_t c, int d, struct sockaddr *restrict e, socklen_t *restrict f) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return no_sockets();
}

ssize_t sendto(int a, const void *b, size_t c, int d, const struct sockaddr *e, socklen_t f) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return no_sockets();
}

struct hostent *gethostbyname(const char *name) {
    (void)name;
    return NULL;
}

int getaddrinfo(const char *restrict a, const char *restrict b, const struct addrinfo *restrict c,
                struct addrinfo **restrict d) {
    (void)a, (void)b, (void)c, (void)d;
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list) { (void)list; }

int getnameinfo(const struct sockaddr *restrict a, socklen_t b, char *restrict c, socklen_t d, char *restrict e,
                socklen_t f, int g) {
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g;
    return EAI_FAIL;
}
