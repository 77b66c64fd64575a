/* synth.c - the stream around the sample loop: frames in, samples out. Twin of engine/numba_cpu.py (NumbaStream).
 *
 * A frame's samples need cond_width / 2 frames on either side; before the first frame and, after wv_finish,
 * behind the last one, that frame is repeated, as in training. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/scalar.h"
#include "fp_mode.h"
#include "state.h"

enum { MAX_OPTIONS_BYTES = 4096 }; /* a struct_size beyond is no size */

static void lay_out_filter(const wv_model *m, wv_filter *f, char *base, size_t *used) {
    const size_t size = sizeof(float), n_fft = (size_t)m->n_fft, hop = (size_t)m->hop_length;
    wv_filter_reach(m, &f->d, &f->c);
    const size_t d = (size_t)f->d, c = (size_t)f->c, width = (2 * d + 1) * hop, win = (size_t)m->win_length;
    f->hop = m->hop_length;
    f->win_length = m->win_length;
    f->n_fft = m->n_fft;
    f->n_mels = m->n_mels;
    f->comb.strength = m->comb;
    wv_comb_lags(m->sample_rate, &f->comb);
    const size_t step = (size_t)f->comb.step, n_lags = (size_t)f->comb.lag_max / step + 1, n_z = win / step + 2 * n_lags;
    f->comb.wide = wv_take(base, used, n_z * sizeof(int32_t));
    f->comb.z = wv_take(base, used, n_z * sizeof(int16_t));
    f->comb.x = wv_take(base, used, (win + 2 * (size_t)f->comb.reach) * sizeof(int16_t));
    f->comb.rho = wv_take(base, used, (n_lags + 2 * step + 3) * sizeof(double));
    f->comb.y = wv_take(base, used, win * size);
    f->comb.side = wv_take(base, used, win * size);
    f->x = wv_take(base, used, (width + 2 * c * hop) * sizeof(int16_t));
    f->y = wv_take(base, used, width * size);
    f->norm = wv_take(base, used, width * size);
    f->mels = wv_take(base, used, (d + c + 1) * (size_t)m->n_mels * size);
    f->window = wv_take(base, used, win * size);
    f->cosine = wv_take(base, used, n_fft / 2 * size);
    f->sine = wv_take(base, used, n_fft / 2 * size);
    f->re = wv_take(base, used, n_fft * size);
    f->im = wv_take(base, used, n_fft * size);
    f->re_2 = wv_take(base, used, n_fft * size);
    f->im_2 = wv_take(base, used, n_fft * size);
    f->gain = wv_take(base, used, n_fft * size);
    f->magnitude = wv_take(base, used, (n_fft / 2 + 1) * size);
    f->bands = wv_take(base, used, ((size_t)m->n_mels + 2) * size);
    f->noise = wv_take(base, used, (size_t)m->n_mels * sizeof(double));
    f->pcm = wv_take(base, used, hop * sizeof(int16_t));
    f->band = m->band;
    f->weight = m->weight;
}

static void reset_filter(wv_filter *f) {
    const int32_t width = (2 * f->d + 1) * f->hop;
    for (int32_t k = 0; k < width; k++) f->y[k] = f->norm[k] = 0.0f;
    for (int32_t k = 0; k < width + 2 * f->c * f->hop; k++) f->x[k] = 0;
    for (int32_t k = 0; k < (f->d + f->c + 1) * f->n_mels; k++) f->mels[k] = 0.0f;
    f->n_in = f->n_ours = 0;
}

/* The lanes of a subscale voice; what conditions a frame is s->lane's. */
static void lay_out_staircase(const wv_state *s, wv_staircase *c, char *base, size_t *used) {
    const wv_model *m = s->model;
    const int32_t ahead = s->n_threads > 1 ? WV_AHEAD : 0;
    const int32_t apart = (m->subscale - 1) * (m->horizon + 1) + ahead; /* steps from the last lane to the first, at most */
    const size_t B = (size_t)m->subscale, N = (size_t)m->n_units, order = (size_t)m->lpc_order;
    const size_t n_slots = (size_t)(apart / (m->hop_length / m->subscale) + 2), n_g = n_slots * (size_t)m->n_sub * 3 * N;
    const uint64_t n_seen = (uint64_t)(m->subscale * (apart + m->lookback + 2) + m->hop_length / m->n_sub);
    const int int8 = m->matrix[WV_R].dtype == WV_I8;
    memset(c, 0, sizeof *c);
    c->kernels = s->kernels;
    c->lag = m->horizon + 1;
    c->n_groups = s->n_threads;
    for (int32_t k = 0; k < c->n_groups; k++) {
        c->group[k].first = k * m->subscale / c->n_groups;
        c->group[k].end = (k + 1) * m->subscale / c->n_groups;
        c->group[k].work = wv_take(base, used, 4 * (order * (order + 1) / 2 + 4 * order) * sizeof(double));
    }
    while (c->signal.mask < n_seen) c->signal.mask = 2 * c->signal.mask + 1;
    c->signal.s = wv_take(base, used, (size_t)(c->signal.mask + 1) * sizeof *c->signal.s);
    c->n_slots = (int32_t)n_slots;
    if (int8)
        c->g_q10 = wv_take(base, used, n_g * sizeof *c->g_q10);
    else
        c->g = wv_take(base, used, n_g * sizeof *c->g);
    c->r = wv_take(base, used, n_slots * ((size_t)m->lags + 1) * sizeof *c->r);
    c->lpc = wv_take(base, used, n_slots * B * order * sizeof *c->lpc);
    c->inverse = wv_take(base, used, n_slots * B * 2 * sizeof *c->inverse);
    wv_lay_out_rows(m, &c->rows, m->subscale, base, used);
    for (int32_t l = 0; l < m->subscale; l++) {
        wv_lane *lane = &c->lane[l];
        *lane = s->lane;
        if (int8) {
            lane->h_q15 = wv_take(base, used, N * sizeof *lane->h_q15);
            lane->g_q10 = wv_take(base, used, 3 * N * sizeof *lane->g_q10);
        } else {
            lane->g = wv_take(base, used, 3 * N * sizeof *lane->g);
        }
        lane->past = wv_take(base, used, order * sizeof *lane->past);
        lane->lpc = wv_take(base, used, order * sizeof *lane->lpc);
        lane->inverse = wv_take(base, used, 2 * sizeof *lane->inverse);
        lane->signal = &c->signal;
        if (base) wv_point_to_row(m, &c->rows, l, lane);
    }
}

static size_t lay_out(wv_state *s, char *base) {
    const wv_model *m = s->model;
    size_t used = 0, f = sizeof(float), n_units = (size_t)m->n_units;
    int32_t q_bytes = 0;
    for (int32_t i = 0; i < WV_N_MATRICES; i++) q_bytes = max_i32(q_bytes, m->matrix[i].cols);
    s->lane.h = wv_take(base, &used, n_units * f);
    s->lane.a = wv_take(base, &used, 3 * n_units * f);
    s->lane.g = wv_take(base, &used, 3 * n_units * f);
    s->lane.h_q15 = wv_take(base, &used, n_units * sizeof(int16_t));
    s->lane.a_q10 = wv_take(base, &used, 3 * n_units * sizeof(int16_t));
    s->lane.g_q10 = wv_take(base, &used, 3 * n_units * sizeof(int16_t));
    s->lane.h_q = wv_take(base, &used, n_units);
    s->lane.b = wv_take(base, &used, (size_t)m->n_sub * (size_t)m->n_cond * f);
    s->lane.z = wv_take(base, &used, (size_t)max_i32(m->n_out, m->n_cond) * f);
    s->lane.logits = wv_take(base, &used, 256 * f);
    s->lane.p_softmax = wv_take(base, &used, 256 * sizeof(int32_t));
    s->lane.q = wv_take(base, &used, (size_t)q_bytes);
    s->lane.past = wv_take(base, &used, (size_t)m->lpc_order * sizeof(int16_t));
    s->lane.lpc = wv_take(base, &used, (size_t)m->lpc_order * sizeof(int16_t));
    s->lane.inverse = wv_take(base, &used, 2 * sizeof(int64_t));
    s->lane.work = wv_take(base, &used, (size_t)(m->lags + 1 + m->n_mels + 2 * m->lpc_order) * sizeof(double));
    s->frames = wv_take(base, &used, (size_t)(s->capacity + m->cond_width - 1) * (size_t)m->n_mels * f);
    if (s->filtered) lay_out_filter(m, &s->filter, base, &used);
    if (WV_SUBSCALE(m) > 1) {
        wv_staircase counted;
        s->staircase = wv_take(base, &used, sizeof counted);
        lay_out_staircase(s, base ? s->staircase : &counted, base, &used);
        if (s->n_threads > 1) s->threads = wv_take(base, &used, sizeof *s->threads);
    }
    return used;
}

wv_status wv_reset(wv_state *s, uint64_t seed) {
    if (s == NULL) return WV_ERR_ARGUMENT;
    s->kernels->reset(s->model, &s->lane);
    s->lane.seed = seed;
    s->first = s->n_frames = s->n_pushed = s->finished = s->sample = s->ready = 0;
    s->n_out = 0;
    if (s->filtered) reset_filter(&s->filter);
    if (WV_SUBSCALE(s->model) > 1) wv_staircase_reset(s->model, s->staircase, seed);
    return WV_OK;
}

/* The other threads of a subscale stream */
static void follow(void *of, int32_t number) {
    wv_state *s = of;
    const wv_fp_mode mode = wv_fp_enter();
    wv_run_group(s->model, s->staircase, number, NULL, NULL, 0);
    wv_fp_leave(mode);
}

/* The caller's options, whose struct may be that of an older or a newer header. */
static wv_status read_options(const wv_options *from, wv_options *options) {
    const size_t size = from->struct_size, known = size < sizeof *options ? size : sizeof *options;
    if (size < offsetof(wv_options, isa) + sizeof options->isa || size > MAX_OPTIONS_BYTES) return WV_ERR_ARGUMENT;
    memset(options, 0, sizeof *options);
    memcpy(options, from, known);
    for (size_t i = known; i < size; i++)
        if (((const unsigned char *)from)[i] != 0) return WV_ERR_ARGUMENT;
    if (!(options->temperature >= WV_TEMPERATURE_MIN && options->temperature <= WV_TEMPERATURE_MAX)) return WV_ERR_ARGUMENT;
    return options->max_frames >= 1 && options->max_frames <= 65536 ? WV_OK : WV_ERR_ARGUMENT;
}

wv_status wv_state_new(const wv_model *model, const wv_options *caller_options, wv_state **state) {
    wv_options options;
    if (model == NULL || caller_options == NULL || state == NULL) return WV_ERR_ARGUMENT;
    *state = NULL;
    if (read_options(caller_options, &options) != WV_OK) return WV_ERR_ARGUMENT;
    if (options.postfilter < WV_FILTER_AS_MODEL || options.postfilter > WV_FILTER_ON) return WV_ERR_ARGUMENT;
    if (options.postfilter == WV_FILTER_ON && model->postfilter == 0) return WV_ERR_ARGUMENT;
    if (options.n_threads == 0) options.n_threads = 1;
    if (options.n_threads < 0 || options.n_threads > WV_MAX_THREADS) return WV_ERR_ARGUMENT;
    const wv_kernels *kernels = wv_kernels_find(options.isa, model);
    if (kernels == NULL) return WV_ERR_ISA;

    wv_state *s = calloc(1, sizeof *s);
    if (s == NULL) return WV_ERR_MEMORY;
    s->model = model;
    s->kernels = kernels;
    s->filtered = options.postfilter == WV_FILTER_AS_MODEL ? model->postfilter == 2 : options.postfilter == WV_FILTER_ON;
    s->n_threads = WV_CAN_THREAD ? min_i32((int32_t)options.n_threads, WV_SUBSCALE(model)) : 1;
    s->capacity = options.max_frames + 2 * model->cond_width + wv_subscale_frames(model);
    if (s->filtered) s->capacity += wv_filter_delay(model); /* no sample comes out before so many are in */
    s->storage = malloc(lay_out(s, NULL) + 63);
    if (s->storage == NULL) {
        free(s);
        return WV_ERR_MEMORY;
    }
    const volatile float temperature = options.temperature; /* a local's division would move across wv_fp_enter */
    const wv_fp_mode mode = wv_fp_enter();
    s->lane.log2e_over_temperature = (float)(1.4426950408889634 / (double)temperature);
    lay_out(s, (char *)wv_padded((size_t)(uintptr_t)s->storage));
    if (s->filtered) wv_filter_tables(&s->filter, model->mel_stats, model->denoise);
    wv_fp_leave(mode);
    wv_reset(s, options.seed);
    if (s->threads && !wv_threads_start(s->threads, s->n_threads, follow, s)) {
        wv_state_free(s);
        return WV_ERR_MEMORY;
    }
    *state = s;
    return WV_OK;
}

void wv_state_free(wv_state *s) {
    if (s == NULL) return;
    if (s->threads) wv_threads_stop(s->threads);
    free(s->storage);
    free(s);
}

const char *wv_state_isa(const wv_state *s) { return s ? s->kernels->name : ""; }

/* Frame i of those held, with the cond_width - 1 behind it. */
static float *window(const wv_state *s, int32_t i) {
    return s->frames + (size_t)((s->first + i) % s->capacity) * (size_t)s->model->n_mels;
}

/* Appends one frame, which the caller has made room for. */
static void append(wv_state *s, const float *frame) {
    const size_t n_mels = (size_t)s->model->n_mels, again = (size_t)s->capacity * n_mels;
    float *slot = window(s, s->n_frames++);
    memcpy(slot, frame, n_mels * sizeof(float));
    if (slot < s->frames + (size_t)(s->model->cond_width - 1) * n_mels) memcpy(slot + again, frame, n_mels * sizeof(float));
}

wv_status wv_push(wv_state *s, const float *mel, size_t n_frames, size_t *taken) {
    if (s == NULL || taken == NULL || (mel == NULL && n_frames > 0)) return WV_ERR_ARGUMENT;
    *taken = 0;
    if (s->finished) return WV_ERR_FINISHED;
    const int32_t pad = s->model->cond_width / 2, n_mels = s->model->n_mels;
    while (*taken < n_frames && s->n_frames < s->capacity - pad - 1) {
        const float *frame = mel + *taken * (size_t)n_mels;
        for (int32_t i = 0; i < n_mels; i++)
            if (!isfinite(frame[i])) return WV_ERR_MEL;
        if (!s->n_pushed)
            for (int32_t i = 0; i < pad; i++) append(s, frame);
        append(s, frame);
        s->n_pushed = 1;
        ++*taken;
    }
    return WV_OK;
}

wv_status wv_finish(wv_state *s) {
    if (s == NULL) return WV_ERR_ARGUMENT;
    if (!s->finished && s->n_pushed) {
        const float *last = window(s, s->n_frames - 1);
        for (int32_t i = 0; i < s->model->cond_width / 2; i++) append(s, last);
    }
    s->finished = 1;
    return WV_OK;
}

static int32_t n_ready(const wv_state *s) { return max_i32(0, s->n_frames - (s->model->cond_width - 1)); }

/* Samples that could be drawn, from the first of the current frame on */
static int64_t n_drawable(const wv_state *s) {
    const int64_t n = (int64_t)n_ready(s) * s->model->hop_length - (s->finished ? 0 : wv_subscale_delay(s->model));
    return n > s->sample ? n : s->sample;
}

size_t wv_available(const wv_state *s) {
    if (s == NULL) return 0;
    const int64_t hop = s->model->hop_length;
    if (!s->filtered) return (size_t)(n_drawable(s) - s->sample);
    int64_t n_hops = s->filter.n_ours + n_drawable(s) / hop - (s->finished ? 0 : 2 * s->filter.d + s->filter.c);
    return n_hops > 0 ? (size_t)(n_hops * hop) - (size_t)s->n_out : 0;
}

void wv_job_begin(wv_job *j, wv_state *s, int16_t *pcm, size_t n_samples) {
    const size_t n = wv_available(s);
    *j = (wv_job){s, pcm, n < n_samples ? n : n_samples};
    s->n_out += j->left;
}

/* Through the post-filter: hands out what is ready; returns whether another hop has to be drawn. */
static int hop_is_wanted(wv_job *j) {
    wv_state *s = j->state;
    wv_filter *f = &s->filter;
    while (s->sample == 0) {
        for (; j->left > 0 && s->ready > 0; j->left--) *j->pcm++ = f->pcm[f->hop - s->ready--];
        if (j->left == 0) return 0;
        if (n_drawable(s) >= f->hop) break;
        memset(f->pcm, 0, (size_t)f->hop * sizeof *f->pcm); /* after the last hop */
        if (wv_filter_hop(f, f->mels, 0)) s->ready = f->hop;
    }
    return 1;
}

int32_t wv_job_next(wv_job *j, int16_t **to) {
    wv_state *s = j->state;
    const wv_model *m = s->model;
    const int32_t sub_length = m->hop_length / m->n_sub;
    if (s->filtered ? !hop_is_wanted(j) : j->left == 0) return 0;
    /* 1) conditioning, at the start of a frame and of a sub-frame */
    const int alone = s->staircase == NULL; /* interleaved lanes have their own */
    if (alone && s->sample == 0) s->kernels->condition_frame(m, &s->lane, window(s, 0));
    if (alone && s->sample % sub_length == 0) s->kernels->condition_sub(m, &s->lane, s->sample / sub_length);
    /* 2) samples up to the end of the sub-frame */
    int32_t n = sub_length - s->sample % sub_length;
    if (!s->filtered && (size_t)n > j->left) n = (int32_t)j->left;
    *to = s->filtered ? s->filter.pcm + s->sample : j->pcm;
    return n;
}

void wv_job_drawn(wv_job *j, int32_t n) {
    wv_state *s = j->state;
    const wv_model *m = s->model;
    if (!s->filtered) {
        j->pcm += n;
        j->left -= (size_t)n;
    }
    s->sample += n;
    if (s->sample < m->hop_length) return;
    const float *centre = window(s, m->cond_width / 2); /* stays there until the next push */
    s->sample = 0; /* on to the next frame */
    s->first = (s->first + 1) % s->capacity;
    s->n_frames--;
    if (s->filtered && wv_filter_hop(&s->filter, centre, 1)) s->ready = m->hop_length;
}

/* n samples of the interleaved lanes, in their order */
static void draw_staircase(wv_state *s, int32_t n, int16_t *pcm) {
    const wv_model *m = s->model;
    wv_staircase *c = s->staircase;
    const wv_windows windows = {s->frames, s->first, s->capacity, c->n_out - s->sample};
    const int64_t n_steps = (windows.begin + (int64_t)n_ready(s) * m->hop_length) / m->subscale;
    const int64_t behind = (int64_t)(m->subscale - 1) * c->lag;
    const int64_t need = (c->n_out + n - 1) / m->subscale + behind + 1;
    const int64_t most = c->n_groups > 1 ? need + WV_AHEAD : need;
    wv_count_to(&c->n_steps, n_steps);
    wv_count_to(&c->granted, s->finished || most < n_steps ? most : n_steps);
    wv_run_group(m, c, 0, &s->lane, &windows, need);
    for (int32_t i = 0; i < n; i++)
        pcm[i] = heard(c->signal.s[(uint64_t)c->n_out++ & c->signal.mask], m->preemphasis, &c->y);
}

void wv_begin_threads(wv_state *s) {
    if (s->threads == NULL) return;
    wv_count_to(&s->staircase->closed, 0);
    wv_threads_begin(s->threads);
}

void wv_end_threads(wv_state *s) {
    if (s->threads == NULL) return;
    wv_count_to(&s->staircase->closed, 1);
    wv_threads_end(s->threads);
}

void wv_job_draw(wv_job *j) {
    wv_state *s = j->state;
    int16_t *to;
    wv_begin_threads(s);
    for (int32_t n; (n = wv_job_next(j, &to)) > 0; wv_job_drawn(j, n)) {
        if (WV_SUBSCALE(s->model) > 1)
            draw_staircase(s, n, to);
        else
            s->kernels->sample_loop(s->model, &s->lane, n, to);
    }
    wv_end_threads(s);
}

wv_status wv_pull(wv_state *s, int16_t *pcm, size_t n_samples, size_t *written) {
    if (s == NULL || written == NULL || (pcm == NULL && n_samples > 0)) return WV_ERR_ARGUMENT;
    const wv_fp_mode mode = wv_fp_enter();
    wv_job job;
    wv_job_begin(&job, s, pcm, n_samples);
    *written = job.left;
    wv_job_draw(&job);
    wv_fp_leave(mode);
    return WV_OK;
}
