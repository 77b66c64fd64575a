/* staircase.c - one utterance as interleaved lanes in step, over any ISA's kernels (Kalchbrenner et al. 2018, section 4).
 * Sample B i + l is step i of lane l; while lane 0 draws step i, lane l draws step i - l lag. */
#include <string.h>

#include "kernels.h"
#include "scalar.h"

static size_t slot_of(const wv_model *m, const wv_staircase *c, int64_t step) {
    return (size_t)(step / (m->hop_length / m->subscale) % c->n_slots);
}

/* What the frame of lane 0's step `step` gives each lane, for all of them to use in turn */
static void condition_slot(const wv_model *m, wv_staircase *c, wv_lane *s, int64_t step, const float *window) {
    const size_t n_r = (size_t)m->lags + 1, n = 3 * (size_t)m->n_units, n_sub = (size_t)m->n_sub, slot = slot_of(m, c, step);
    c->kernels->condition_frame(m, s, window);
    memcpy(c->r + slot * n_r, s->work, n_r * sizeof *c->r);
    for (size_t sub = 0; sub < n_sub; sub++) {
        c->kernels->condition_sub(m, s, (int32_t)sub);
        if (c->g_q10)
            memcpy(c->g_q10 + (slot * n_sub + sub) * n, s->g_q10, n * sizeof *c->g_q10);
        else
            memcpy(c->g + (slot * n_sub + sub) * n, s->g, n * sizeof *c->g);
    }
}

/* The first lane of a group enters a frame with its step `step`: the coefficients of all of its lanes */
static void enter_frame(const wv_model *m, wv_staircase *c, wv_group *group, int64_t step) {
    const size_t B = (size_t)m->subscale, slot = slot_of(m, c, step);
    c->kernels->interpolate_lanes(m, c->r + slot * ((size_t)m->lags + 1), group->first, group->end, group->work,
                                  c->lpc + slot * B * (size_t)m->lpc_order, c->inverse + slot * B * 2);
}

/* Lane l enters a sub-frame with its step `step`. */
static void enter_sub(const wv_model *m, wv_staircase *c, int32_t l, int64_t step) {
    const size_t B = (size_t)m->subscale, order = (size_t)m->lpc_order, n = 3 * (size_t)m->n_units;
    const size_t slot = slot_of(m, c, step), sub = (size_t)(step / (m->hop_length / m->n_sub / m->subscale) % m->n_sub);
    wv_lane *s = c->lane + l;
    memcpy(s->lpc, c->lpc + (slot * B + (size_t)l) * order, order * sizeof *s->lpc);
    memcpy(s->inverse, c->inverse + (slot * B + (size_t)l) * 2, 2 * sizeof *s->inverse);
    const size_t g = (slot * (size_t)m->n_sub + sub) * n;
    c->kernels->condition_lane(m, s, l, c->g ? c->g + g : NULL, c->g_q10 ? c->g_q10 + g : NULL);
}

/* n lanes from `first` on, as lanes.c takes them */
static wv_lanes *choose_lanes(const wv_model *m, wv_staircase *c, wv_lanes *b, int32_t first, int32_t n) {
    const size_t N = (size_t)m->n_units, n_out = (size_t)m->n_out, l = (size_t)first;
    b->n = n;
    for (int32_t i = 0; i < n; i++) b->lane[i] = c->lane + first + i;
    if (c->g_q10) {
        b->h_q = c->rows.h_q + l * N;
        b->a_q10 = c->rows.a_q10 + l * 3 * N;
        b->q = c->rows.q + l * n_out;
    } else {
        b->h = c->rows.h + l * N;
        b->a = c->rows.a + l * 3 * N;
        b->z = c->rows.z + l * n_out;
    }
    b->logits = c->rows.logits + l * WV_LOGITS_STRIDE;
    return b;
}

/* By one load of the weights for all; a build without lanes steps one after the other. */
static void lanes_bytes(const wv_model *m, wv_lanes *b) {
#ifdef WV_LANES
    wv_lanes_bytes(m, b);
#else
    for (int32_t l = 0; l < b->n; l++) b->kernels->sample_bytes(m, b->lane[l], b->coarse + l, b->fine + l);
#endif
}

static void lanes_stage(const wv_model *m, wv_lanes *b, const float *window, wv_stage which) {
#ifdef WV_LANES
    wv_lanes_stage(m, b, window, which, 1);
#else
    for (int32_t l = 0; l < b->n; l++) b->kernels->stage(m, b->lane[l], window, which, 1);
#endif
}

void wv_staircase_reset(const wv_model *m, wv_staircase *c, uint64_t seed) {
    memset(c->signal.s, 0, (size_t)(c->signal.mask + 1) * sizeof *c->signal.s);
    for (int32_t k = 0; k < c->n_groups; k++) {
        wv_count_to(&c->group[k].done, 0);
        c->group[k].lanes.kernels = c->kernels;
#ifdef WV_LANES
        c->group[k].lanes.matrices = wv_lane_kernels_of(c->kernels);
#endif
    }
    wv_count_to(&c->granted, 0);
    c->n_out = 0;
    c->y = 0.0f;
    for (int32_t l = 0; l < m->subscale; l++) {
        c->kernels->reset(m, c->lane + l);
        c->lane[l].seed = seed;
        c->lane[l].t = (uint64_t)l;
    }
}

/* Whether group k may step: it reads what the groups before it wrote, and overwrites what those behind it have read. */
static int may_step(wv_staircase *c, int32_t k) {
    const int64_t step = wv_count_of(&c->group[k].done);
    int may = step < wv_count_of(&c->granted);
    for (int32_t j = 0; may && j < k; j++) may = wv_count_of(&c->group[j].done) >= step;
    for (int32_t j = k + 1; may && j < c->n_groups; j++) may = step - wv_count_of(&c->group[j].done) <= WV_AHEAD;
    return may;
}

/* One step of every lane of group k that has one. window : of lane 0's frame if it enters one, else NULL */
static void step_group(const wv_model *m, wv_staircase *c, int32_t k, wv_lane *frame, const float *window) {
    wv_group *group = c->group + k;
    const int32_t sub_steps = m->hop_length / m->n_sub / m->subscale;
    const int64_t now = wv_count_of(&group->done), n_steps = wv_count_of(&c->n_steps);
    int32_t first = group->first, end = group->first;
    /* 1) the lanes that have a step, and their conditioning; 0 comes after the last sample */
    if (window) condition_slot(m, c, frame, now, window);
    for (; end < group->end; end++) {
        const int64_t step = now - (int64_t)end * c->lag;
        if (step < 0) break;
        if (step >= n_steps) {
            c->signal.s[(uint64_t)(step * m->subscale + end) & c->signal.mask] = 0;
            first = end + 1;
        } else if (step % sub_steps == 0) {
            if (end == group->first && step % (sub_steps * m->n_sub) == 0) enter_frame(m, c, group, step);
            enter_sub(m, c, end, step);
        }
    }
    /* 2) both bytes of each, then its sample */
    if (first < end) {
        wv_lanes *b = choose_lanes(m, c, &group->lanes, first, end - first);
        lanes_bytes(m, b);
        for (int32_t l = 0; l < b->n; l++) b->kernels->stage_sample(m, b->lane[l], b->coarse[l], b->fine[l]);
    }
    wv_count_to(&group->done, now + 1);
}

/* Whether every group is through with `need` steps */
static int all_through(wv_staircase *c, int64_t need) {
    int32_t k = 0;
    while (k < c->n_groups && wv_count_of(&c->group[k].done) >= need) k++;
    return k == c->n_groups;
}

void wv_run_group(const wv_model *m, wv_staircase *c, int32_t k, wv_lane *frame, const wv_windows *windows, int64_t need) {
    for (int32_t waited = 0; k > 0 ? !wv_count_of(&c->closed) : !all_through(c, need);) {
        if (!may_step(c, k)) {
            wv_wait_a_little(waited++);
            continue;
        }
        const int64_t step = wv_count_of(&c->group[k].done);
        const float *window = NULL;
        if (k == 0 && step < wv_count_of(&c->n_steps) && step % (m->hop_length / m->subscale) == 0) {
            const int64_t i = windows->first + (step * m->subscale - windows->begin) / m->hop_length;
            window = windows->frames + (size_t)(i % windows->capacity) * (size_t)m->n_mels;
        }
        step_group(m, c, k, frame, window);
        waited = 0;
    }
}

void wv_staircase_stage(const wv_model *m, wv_staircase *c, wv_lane *frame, const float *window, wv_stage which,
                        size_t n_times) {
    const int64_t behind = (int64_t)(m->subscale - 1) * c->lag; /* from where on all lanes step */
    const wv_windows windows = {window, 0, 1, 0};
    if (which == WV_STAGE_SAMPLE) {
        for (int32_t k = 0; k < c->n_groups; k++) wv_count_to(&c->group[k].done, behind);
        wv_count_to(&c->n_steps, INT64_MAX);
        wv_count_to(&c->granted, behind + (int64_t)n_times);
        wv_run_group(m, c, 0, frame, &windows, behind + (int64_t)n_times);
        return;
    }
    wv_lanes *b = choose_lanes(m, c, &c->group[0].lanes, 0, m->subscale);
    for (size_t i = 0; i < n_times; i++) {
        if (which == WV_STAGE_CONDITION) {
            condition_slot(m, c, frame, 0, window);
            for (int32_t k = 0; k < c->n_groups; k++) enter_frame(m, c, c->group + k, 0);
        } else {
            lanes_stage(m, b, window, which);
        }
    }
}
