/* libc.c - what libwavernn uses of a C library, on WebAssembly's growing memory. The headers are libwavernn's freestanding/. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: blocks from __heap_base on, each a header and a multiple of 64 bytes on a 64-byte boundary */

enum { ALIGN = 64, PAGE = 65536 };

typedef struct block {
    size_t n_bytes;      /* behind the header */
    struct block *next;  /* free blocks alone: the next one by address */
    char padding[ALIGN - sizeof(size_t) - sizeof(void *)];
} block;
_Static_assert(sizeof(block) == ALIGN, "a header keeps the alignment");

extern unsigned char __heap_base; /* the linker's */
static block *free_blocks;
static uintptr_t heap_end;

static block *extend(size_t n_bytes) {
    if (heap_end == 0) heap_end = ((uintptr_t)&__heap_base + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    block *made = (block *)heap_end;
    const uintptr_t end = heap_end + sizeof *made + n_bytes, have = __builtin_wasm_memory_size(0) * (uintptr_t)PAGE;
    if (end < heap_end) return NULL;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1) / PAGE) == SIZE_MAX) return NULL;
    heap_end = end;
    made->n_bytes = n_bytes;
    return made;
}

void *malloc(size_t n_bytes) {
    if (n_bytes > SIZE_MAX / 2) return NULL;
    n_bytes = (n_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    for (block **at = &free_blocks; *at != NULL; at = &(*at)->next) {
        block *b = *at;
        if (b->n_bytes < n_bytes) continue;
        if (b->n_bytes > n_bytes) { /* the rest stays free */
            block *rest = (block *)((char *)(b + 1) + n_bytes);
            rest->n_bytes = b->n_bytes - n_bytes - sizeof *rest;
            rest->next = b->next;
            b->n_bytes = n_bytes;
            b->next = rest;
        }
        *at = b->next;
        return b + 1;
    }
    block *made = extend(n_bytes);
    return made ? made + 1 : NULL;
}

static char *end_of(block *b) { return (char *)(b + 1) + b->n_bytes; }

/* b and its successor become one if they touch */
static void join(block *b) {
    if (b->next == NULL || end_of(b) != (char *)b->next) return;
    b->n_bytes += sizeof *b + b->next->n_bytes;
    b->next = b->next->next;
}

void free(void *p) {
    if (p == NULL) return;
    block *b = (block *)p - 1, *before = NULL, **at = &free_blocks;
    while (*at != NULL && *at < b) {
        before = *at;
        at = &before->next;
    }
    b->next = *at;
    *at = b;
    join(b);
    if (before != NULL) join(before);
}

void *calloc(size_t n, size_t size) {
    if (size != 0 && n > SIZE_MAX / size) return NULL;
    void *p = malloc(n * size);
    return p ? memset(p, 0, n * size) : NULL;
}

/* ---- bytes and text */

void *memcpy(void *to, const void *from, size_t n) { return __builtin_memmove(to, from, n), to; }
void *memmove(void *to, const void *from, size_t n) { return __builtin_memmove(to, from, n), to; }
void *memset(void *p, int byte, size_t n) { return __builtin_memset(p, byte, n), p; }

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *x = a, *y = b;
    for (; n > 0; n--, x++, y++)
        if (*x != *y) return *x - *y;
    return 0;
}

size_t strlen(const char *s) {
    size_t n = 0;
    while (s[n]) n++;
    return n;
}

int strncmp(const char *a, const char *b, size_t n) {
    for (; n > 0; n--, a++, b++)
        if (*a != *b || *a == '\0') return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b) { return strncmp(a, b, SIZE_MAX); }

size_t strspn(const char *s, const char *any) {
    size_t n = 0;
    for (; s[n] != 0; n++) {
        const char *a = any;
        while (*a != 0 && *a != s[n]) a++;
        if (*a == 0) break;
    }
    return n;
}

size_t strcspn(const char *s, const char *any) {
    for (size_t n = 0;; n++)
        for (const char *c = any;; c++) {
            if (*c == s[n]) return n; /* the end of s is the end of any, too */
            if (*c == '\0') break;
        }
}

char *strstr(const char *text, const char *part) {
    for (const size_t n = strlen(part);; text++) {
        if (strncmp(text, part, n) == 0) return (char *)(uintptr_t)text;
        if (*text == '\0') return NULL;
    }
}

/* Decimal digits alone: npy.c has looked at the first one */
unsigned long long strtoull(const char *text, char **end, int base) {
    unsigned long long n = 0;
    for (; *text >= '0' && *text <= '9'; text++) n = n * (unsigned)base + (unsigned)(*text - '0');
    *end = (char *)(uintptr_t)text;
    return n;
}

char *getenv(const char *name) {
    (void)name;
    return NULL;
}

/* ---- printf of %s, %.*s, %d, %zu and %.Ng */

typedef struct {
    char *to;
    size_t n_bytes, n;
} text;

static void put(text *t, char c) {
    if (t->n + 1 < t->n_bytes) t->to[t->n] = c;
    t->n++;
}

static void put_digits(text *t, unsigned long long x, int at_least) {
    char digits[20];
    int n = 0;
    for (; x > 0 || n < at_least; x /= 10) digits[n++] = (char)('0' + x % 10);
    while (n > 0) put(t, digits[--n]);
}

/* The double with `precision` significant digits, without zeros at the end */
static void put_general(text *t, double x, int precision) {
    if (x < 0) put(t, '-');
    x = x < 0 ? -x : x;
    int exponent = 0;
    double low = 1;
    for (int i = 1; i < precision; i++) low *= 10;
    const double high = low * 10;
    if (x > 0) {
        for (exponent = precision - 1; x >= high - 0.5; exponent++) x /= 10;
        for (; x < low - 0.05; exponent--) x *= 10;
    }
    unsigned long long digits = (unsigned long long)(x + 0.5), unit = (unsigned long long)low;
    const int scientific = exponent < -4 || exponent >= precision;
    for (int place = scientific ? 0 : exponent < 0 ? exponent : 0; place < 0; place++) {
        put(t, '0');
        if (place == exponent) put(t, '.');
    }
    for (int place = scientific ? 0 : exponent; unit > 0 && (digits > 0 || place >= 0); unit /= 10, place--) {
        if (place == -1 && (scientific || exponent >= 0)) put(t, '.');
        put(t, (char)('0' + digits / unit));
        digits %= unit;
    }
    if (scientific) {
        put(t, 'e');
        put(t, exponent < 0 ? '-' : '+');
        put_digits(t, (unsigned long long)(exponent < 0 ? -exponent : exponent), 2);
    }
}

int vsnprintf(char *to, size_t n_bytes, const char *format, va_list arguments) {
    text t = {to, n_bytes, 0};
    for (; *format; format++) {
        if (*format != '%') {
            put(&t, *format);
            continue;
        }
        size_t limit = SIZE_MAX;
        if (*++format == '.') {
            if (*++format == '*') {
                limit = (size_t)va_arg(arguments, int);
                format++;
            } else {
                limit = 0;
                for (; *format >= '0' && *format <= '9'; format++) limit = 10 * limit + (size_t)(*format - '0');
            }
        }
        if (*format == 's') {
            for (const char *s = va_arg(arguments, const char *); limit > 0 && *s; s++, limit--) put(&t, *s);
        } else if (*format == 'd') {
            long long d = va_arg(arguments, int);
            if (d < 0) put(&t, '-');
            put_digits(&t, (unsigned long long)(d < 0 ? -d : d), 1);
        } else if (*format == 'z') {
            format++;
            put_digits(&t, va_arg(arguments, size_t), 1);
        } else if (*format == 'g') {
            put_general(&t, va_arg(arguments, double), (int)limit);
        } else {
            put(&t, *format);
        }
    }
    if (n_bytes > 0) to[t.n < n_bytes ? t.n : n_bytes - 1] = '\0';
    return (int)t.n;
}

int snprintf(char *to, size_t n_bytes, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(to, n_bytes, format, arguments);
    va_end(arguments);
    return n;
}
