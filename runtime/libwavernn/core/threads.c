/* threads.c - threads that wait until there is work. */
#include <stddef.h>

#include "threads.h"

#ifdef WV_THREADS
static void *run(void *argument) {
    const wv_thread *self = argument;
    wv_threads *t = self->threads;
    pthread_mutex_lock(&t->mutex);
    for (uint64_t n_calls = 0;; n_calls++) {
        while (t->n_calls == n_calls && !t->closed) pthread_cond_wait(&t->begun, &t->mutex);
        if (t->closed) break;
        pthread_mutex_unlock(&t->mutex);
        t->work(t->of, self->number);
        pthread_mutex_lock(&t->mutex);
        if (--t->n_busy == 0) pthread_cond_signal(&t->ended);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

int wv_threads_start(wv_threads *t, int32_t n, void (*work)(void *of, int32_t number), void *of) {
    *t = (wv_threads){.n = n, .work = work, .of = of};
    if (n < 2) return 1;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->begun, NULL);
    pthread_cond_init(&t->ended, NULL);
    for (int32_t i = 1; i < n; i++, t->n_started++) {
        wv_thread *thread = &t->thread[i];
        thread->threads = t;
        thread->number = i;
        if (pthread_create(&thread->thread, NULL, run, thread) != 0) return 0;
    }
    return 1;
}

void wv_threads_stop(wv_threads *t) {
    if (t->n < 2) return;
    pthread_mutex_lock(&t->mutex);
    t->closed = 1;
    pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->mutex);
    for (int32_t i = 1; i <= t->n_started; i++) pthread_join(t->thread[i].thread, NULL);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->begun);
    pthread_cond_destroy(&t->ended);
}

void wv_threads_begin(wv_threads *t) {
    if (t->n < 2) return;
    pthread_mutex_lock(&t->mutex);
    t->n_calls++;
    t->n_busy = t->n - 1;
    pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->mutex);
}

void wv_threads_end(wv_threads *t) {
    if (t->n < 2) return;
    pthread_mutex_lock(&t->mutex);
    while (t->n_busy > 0) pthread_cond_wait(&t->ended, &t->mutex);
    pthread_mutex_unlock(&t->mutex);
}
#else
int wv_threads_start(wv_threads *t, int32_t n, void (*work)(void *of, int32_t number), void *of) {
    (void)work;
    (void)of;
    t->n = n > 1 ? 1 : n;
    return 1;
}
void wv_threads_begin(wv_threads *t) { (void)t; }
void wv_threads_end(wv_threads *t) { (void)t; }
void wv_threads_stop(wv_threads *t) { (void)t; }
#endif
