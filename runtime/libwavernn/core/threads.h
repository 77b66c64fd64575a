/* threads.h - threads that wait until there is work. A build without threads has the caller's alone. */
#ifndef WV_THREADS_H
#define WV_THREADS_H

#include <stdint.h>

enum { WV_MAX_THREADS = 64 };

#ifdef WV_THREADS
#define WV_CAN_THREAD 1
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

typedef struct wv_threads wv_threads;
typedef struct {
    wv_threads *threads;
    pthread_t thread;
    int32_t number;
} wv_thread;
struct wv_threads {
    int32_t n;             /* with the caller's, which is number 0 */
    void (*work)(void *of, int32_t number);
    void *of;
    int32_t n_started;
    wv_thread thread[WV_MAX_THREADS];
    pthread_mutex_t mutex; /* of everything below */
    pthread_cond_t begun, ended;
    uint64_t n_calls;
    int32_t n_busy, closed;
};

/* A number that one thread raises and others read: what the first wrote before, they find after. */
typedef struct {
    _Atomic int64_t value;
    char apart[56];        /* each in a cache line of its own */
} wv_count;
static inline int64_t wv_count_of(wv_count *c) { return atomic_load_explicit(&c->value, memory_order_acquire); }
static inline void wv_count_to(wv_count *c, int64_t value) { atomic_store_explicit(&c->value, value, memory_order_release); }
/* What it was, before it rises by one */
static inline int64_t wv_count_up(wv_count *c) { return atomic_fetch_add_explicit(&c->value, 1, memory_order_relaxed); }

/* The i-th look in a row at a number that has not changed */
static inline void wv_wait_a_little(int32_t i) {
    if (i % 256 == 255) {
        sched_yield(); /* the other thread may want this core */
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
#else
#define WV_CAN_THREAD 0
typedef struct {
    int32_t n;
} wv_threads;
typedef struct {
    int64_t value;
} wv_count;
static inline int64_t wv_count_of(const wv_count *c) { return c->value; }
static inline void wv_count_to(wv_count *c, int64_t value) { c->value = value; }
static inline int64_t wv_count_up(wv_count *c) { return c->value++; }
static inline void wv_wait_a_little(int32_t i) { (void)i; }
#endif

/* n threads, the caller's among them; whether they are there. work(of, number) is called by all but the caller's at each
 * begin; end waits until it has returned. */
int wv_threads_start(wv_threads *t, int32_t n, void (*work)(void *of, int32_t number), void *of);
void wv_threads_begin(wv_threads *t);
void wv_threads_end(wv_threads *t);
/* Of what was started or is zero */
void wv_threads_stop(wv_threads *t);

#endif
