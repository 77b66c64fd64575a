/* format.c - check a .bin once, then hand pointers into it to the kernels. FORMAT.md is normative.
 *
 * Twin of wv_runtime/model/binary.py: the same checks in the same order, so the same status for the same bytes.
 * Differs in this: the bytes must be aligned already, and the metadata's JSON is not read.
 */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "crc32.h"
#include "fp_mode.h"
#include "wavernn.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the file is used in place, and it is little-endian"
#endif

#define TRY(call)                     \
    do {                              \
        wv_status status_ = (call);   \
        if (status_ != WV_OK)         \
            return status_;           \
    } while (0)
#define NEED(ok, status)              \
    do {                              \
        if (!(ok))                    \
            return (status);          \
    } while (0)

enum { ALIGN = 64, MAX_FILE_BYTES = 0x7fffffff - 63, MAX_METADATA_BYTES = 1 << 20 };
static const float M_MIN = 1e-20f; /* of row 0 of M */
static const float MEL_STD_MIN = 1e-4f; /* of a band's deviation in training */
static const float COMB_MIN = 1e-3f; /* smallest strength of a pitch comb, if there is one */
static const float DENOISE_MIN = 0.1f, DENOISE_MAX = 40.0f; /* dB */
static const char MAGIC[8] = {'W', 'a', 'v', 'e', 'R', 'N', 'N', '\n'};

/* FORMAT.md, "Header" */
typedef struct {
    char magic[8];
    uint32_t version, checksum, file_bytes, n_units, n_out, n_cond, cond_width, n_sub;
    double preemphasis;
    char mel_name[32];
    uint32_t sample_rate, n_fft, hop_length, win_length, n_mels, reserved_0;
    double fmin, fmax, log_floor;
    uint32_t I, metadata, metadata_bytes, lpc_order, M, postfilter, band, weight, mel_stats;
    float comb;
    uint32_t subscale, horizon, lookback, context;
    float denoise;
    uint32_t lane;
} header;

/* FORMAT.md, "Matrix record" */
typedef struct {
    char name[4];
    uint32_t dtype, rows, cols, block_h, block_w, nnz_blocks;
    float x_scale;
    int32_t x_zero;
    uint32_t values, row_ptr, col_idx, bias, scale, reserved[2];
} record;

_Static_assert(sizeof(header) == 192 && offsetof(header, I) == 128, "header of FORMAT.md");
_Static_assert(sizeof(record) == 64, "matrix record of FORMAT.md");
enum { HEADER_BYTES = sizeof(header) + WV_N_MATRICES * sizeof(record) };

static const char NAMES[WV_N_MATRICES][4] = {"C1", "C2", "C3", "R", "O1", "O2", "O3", "O4"};

/* Levels per unit of an int8 matrix's input: conditioning in [-1, 1], and the state h, kept in 16 bits, in its upper 8.
 * O2 and O4, whose inputs are behind a relu, have their own. */
static const float X_SCALE[WV_N_MATRICES] = {
    [WV_C2] = 127, [WV_C3] = 127, [WV_R] = 128, [WV_O1] = 128, [WV_O3] = 128,
};

/* The file and how far its sections have been laid out. */
typedef struct {
    const unsigned char *data;
    uint64_t position, end;
} cursor;

static uint64_t align_up(uint64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int all_zero(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    while (n > 0 && b[n - 1] == 0)
        n--;
    return n == 0;
}

static int in_range(uint32_t v, uint32_t low, uint32_t high)
{
    return low <= v && v <= high;
}

/* 1) is this a whole, undamaged file of this version? */
static wv_status read_header(const unsigned char *data, size_t n, header *h)
{
    NEED(n >= 16, WV_ERR_TRUNCATED);
    memset(h, 0, sizeof *h);
    memcpy(h, data, 16);
    NEED(memcmp(h->magic, MAGIC, sizeof MAGIC) == 0, WV_ERR_MAGIC);
    NEED(in_range(h->version, 1, 5), WV_ERR_VERSION);
    NEED(n >= HEADER_BYTES, WV_ERR_TRUNCATED);
    memcpy(h, data, sizeof *h);
    NEED(h->file_bytes <= n, WV_ERR_TRUNCATED);
    NEED(h->file_bytes == n, WV_ERR_SECTION);
    NEED(h->checksum == wv_crc32(data + 16, n - 16), WV_ERR_CHECKSUM);
    NEED(h->file_bytes % ALIGN == 0 && h->file_bytes <= MAX_FILE_BYTES, WV_ERR_HEADER);
    return WV_OK;
}

/* 2) are the header's fields in range? config.py has the same limits. */
static wv_status read_config(const header *h, struct wv_model *m)
{
    const int has_comb = !all_zero(&h->comb, sizeof h->comb);
    const int has_denoise = !all_zero(&h->denoise, sizeof h->denoise);
    const uint32_t lanes = h->subscale | h->horizon | h->lookback | h->context | h->lane;
    NEED(h->reserved_0 == 0, WV_ERR_HEADER);
    NEED(h->version > 1 || (h->lpc_order | h->M | h->postfilter | h->band | h->weight) == 0, WV_ERR_HEADER);
    NEED(h->version > 2 || !has_comb, WV_ERR_HEADER);
    NEED(h->version > 3 || h->mel_stats == 0, WV_ERR_HEADER);
    NEED(h->version > 4 || (!has_denoise && lanes == 0), WV_ERR_HEADER);
    NEED(h->version != 2 || h->lpc_order > 0 || h->postfilter > 0, WV_ERR_HEADER);
    NEED(h->version != 3 || has_comb, WV_ERR_HEADER);
    NEED(h->version != 5 || has_denoise || h->subscale > 0, WV_ERR_HEADER);
    NEED(!has_comb || (h->postfilter > 0 && COMB_MIN <= h->comb && h->comb <= 1), WV_ERR_HEADER);
    NEED(!has_denoise || (h->postfilter > 0 && DENOISE_MIN <= h->denoise && h->denoise <= DENOISE_MAX), WV_ERR_HEADER);
    NEED(h->lpc_order > 0 || h->M == 0, WV_ERR_HEADER);
    NEED(h->postfilter <= 2, WV_ERR_HEADER);
    NEED(h->postfilter > 0 || (h->band | h->weight) == 0, WV_ERR_HEADER);
    NEED(h->postfilter == 0 || (h->n_fft & (h->n_fft - 1)) == 0, WV_ERR_HEADER);
    NEED(h->metadata_bytes <= MAX_METADATA_BYTES, WV_ERR_HEADER);
    size_t length = 0;
    while (length < sizeof h->mel_name && h->mel_name[length] >= 0x20 && h->mel_name[length] <= 0x7e)
        length++;
    NEED(length < sizeof h->mel_name, WV_ERR_HEADER);
    NEED(all_zero(h->mel_name + length, sizeof h->mel_name - length), WV_ERR_HEADER);

    NEED(in_range(h->sample_rate, 1000, 192000), WV_ERR_HEADER);
    NEED(in_range(h->n_fft, 16, 16384), WV_ERR_HEADER);
    NEED(in_range(h->hop_length, 1, 4096), WV_ERR_HEADER);
    NEED(in_range(h->win_length, h->hop_length, h->n_fft), WV_ERR_HEADER);
    NEED(in_range(h->n_mels, 1, 512), WV_ERR_HEADER);
    NEED(0 <= h->fmin && h->fmin < h->fmax && h->fmax <= h->sample_rate / 2.0, WV_ERR_HEADER);
    NEED(0 < h->log_floor && h->log_floor < 1, WV_ERR_HEADER);

    NEED(in_range(h->n_units, 64, 8192) && h->n_units % 64 == 0, WV_ERR_HEADER);
    NEED(in_range(h->n_out, 16, 4096) && h->n_out % 16 == 0, WV_ERR_HEADER);
    NEED(in_range(h->n_cond, 16, 4096) && h->n_cond % 16 == 0, WV_ERR_HEADER);
    NEED(in_range(h->cond_width, 1, 31) && h->cond_width % 2 == 1, WV_ERR_HEADER);
    NEED(in_range(h->n_sub, 1, 64) && h->hop_length % h->n_sub == 0, WV_ERR_HEADER);
    NEED(h->lpc_order <= 64, WV_ERR_HEADER);
    NEED(h->subscale > 0 || lanes == 0, WV_ERR_HEADER);
#ifdef WV_NO_SUBSCALE
    NEED(h->subscale == 0, WV_ERR_SUBSCALE);
#endif
    if (h->subscale > 0) {
        NEED(in_range(h->subscale, 2, WV_MAX_LANES) && h->hop_length / h->n_sub % h->subscale == 0, WV_ERR_HEADER);
        NEED(h->horizon <= 64 && in_range(h->lookback, 1, 64) && h->context <= WV_MAX_CONTEXT, WV_ERR_HEADER);
        NEED(h->lpc_order > 0, WV_ERR_HEADER);
    }
    NEED(0 <= h->preemphasis && (float)h->preemphasis < 1, WV_ERR_HEADER);

    m->n_units = (int32_t)h->n_units;
    m->n_out = (int32_t)h->n_out;
    m->n_cond = (int32_t)h->n_cond;
    m->cond_width = (int32_t)h->cond_width;
    m->n_sub = (int32_t)h->n_sub;
    m->lpc_order = (int32_t)h->lpc_order;
    m->postfilter = (int32_t)h->postfilter;
    m->comb = h->comb;
    m->denoise = h->denoise;
    m->n_x = h->lpc_order > 0 ? WV_N_X + (int32_t)h->context : 3;
    m->subscale = h->subscale > 0 ? (int32_t)h->subscale : 1;
    m->horizon = (int32_t)h->horizon;
    m->lookback = (int32_t)h->lookback;
    m->context = (int32_t)h->context;
    m->lags = m->subscale > 1 ? wv_neighbours(m) : m->lpc_order;
    m->preemphasis = (float)h->preemphasis;
    m->sample_rate = (int32_t)h->sample_rate;
    m->n_fft = (int32_t)h->n_fft;
    m->hop_length = (int32_t)h->hop_length;
    m->win_length = (int32_t)h->win_length;
    m->n_mels = (int32_t)h->n_mels;
    m->fmin = h->fmin;
    m->fmax = h->fmax;
    m->log_floor = h->log_floor;
    memcpy(m->mel_name, h->mel_name, sizeof m->mel_name);
    return WV_OK;
}

/* WaveRNNConfig.matrix_shapes() */
static void matrix_shape(const header *h, int index, uint32_t *rows, uint32_t *cols)
{
    const uint32_t shapes[WV_N_MATRICES][2] = {
        [WV_C1] = {h->n_cond, h->cond_width * h->n_mels},
        [WV_C2] = {h->n_sub * h->n_cond, h->n_cond},
        [WV_C3] = {3 * h->n_units, h->n_cond},
        [WV_R] = {3 * h->n_units, h->n_units},
        [WV_O1] = {h->n_out, h->n_units / 2},
        [WV_O2] = {256, h->n_out},
        [WV_O3] = {h->n_out, h->n_units / 2},
        [WV_O4] = {256, h->n_out},
    };
    *rows = shapes[index][0];
    *cols = shapes[index][1];
}

/* A section starts where the one before it ended, padded, and ends within the file. */
static wv_status check_place(cursor *c, uint32_t offset, uint64_t n_bytes)
{
    NEED(offset == c->position, WV_ERR_SECTION);
    c->position = align_up(offset + n_bytes);
    NEED(c->position <= c->end, WV_ERR_SECTION);
    return WV_OK;
}

/* A section whose place has been checked: is its padding zero? */
static wv_status view(const cursor *c, uint32_t offset, uint64_t n_bytes, const void **section)
{
    const uint64_t stop = offset + n_bytes;
    NEED(all_zero(c->data + stop, (size_t)(align_up(stop) - stop)), WV_ERR_SECTION);
    *section = c->data + offset;
    return WV_OK;
}

static uint64_t value_bytes(const record *r)
{
    static const uint64_t itemsize[] = {[WV_F32] = 4, [WV_F16] = 2, [WV_I8] = 1};
    return itemsize[r->dtype] * r->nnz_blocks * r->block_h * r->block_w;
}

static uint64_t n_block_rows(const record *r)
{
    return r->rows / r->block_h;
}

/* 3) is this the record of matrix `index`, and do its sections lie where they must? */
static wv_status check_record(cursor *c, const record *r, int index, int int8, uint32_t rows, uint32_t cols)
{
    NEED(memcmp(r->name, NAMES[index], 4) == 0, WV_ERR_SECTION);
    NEED(int8 ? r->dtype == WV_I8 : r->dtype <= WV_F16, WV_ERR_SECTION);
    NEED(r->rows == rows && r->cols == cols, WV_ERR_SECTION);
    NEED(r->block_h == 4 || r->block_h == 8 || r->block_h == 16 || r->block_h == 32, WV_ERR_SECTION);
    NEED(rows % r->block_h == 0, WV_ERR_SECTION);
    NEED(r->block_w == 4 || (!int8 && (r->block_w == 1 || r->block_w == 2)), WV_ERR_SECTION);
    NEED(cols % r->block_w == 0, WV_ERR_SECTION);
    NEED(r->nnz_blocks <= n_block_rows(r) * (cols / r->block_w), WV_ERR_SECTION);
    if (int8 && X_SCALE[index] > 0) {
        NEED(r->x_scale == X_SCALE[index] && r->x_zero == 0, WV_ERR_SECTION);
    } else if (int8) {
        NEED(r->x_scale > 0 && r->x_scale <= FLT_MAX && r->x_zero == -127, WV_ERR_SECTION);
    } else {
        NEED(r->x_scale == 0 && r->x_zero == 0 && r->scale == 0, WV_ERR_SECTION);
    }
    NEED(all_zero(r->reserved, sizeof r->reserved), WV_ERR_SECTION);
    TRY(check_place(c, r->values, value_bytes(r)));
    TRY(check_place(c, r->row_ptr, 4 * (n_block_rows(r) + 1)));
    TRY(check_place(c, r->col_idx, 2 * (uint64_t)r->nnz_blocks));
    TRY(check_place(c, r->bias, 4 * (uint64_t)rows));
    if (int8)
        TRY(check_place(c, r->scale, 4 * (uint64_t)rows));
    return WV_OK;
}

/* An exponent of all ones is NaN or infinity. */
static wv_status check_finite(const void *floats, uint64_t n)
{
    const uint32_t *bits = floats;
    for (uint64_t i = 0; i < n; i++)
        NEED((bits[i] & 0x7f800000u) != 0x7f800000u, WV_ERR_VALUES);
    return WV_OK;
}

static wv_status check_finite_f16(const void *halves, uint64_t n)
{
    const uint16_t *bits = halves;
    for (uint64_t i = 0; i < n; i++)
        NEED((bits[i] & 0x7c00u) != 0x7c00u, WV_ERR_VALUES);
    return WV_OK;
}

static wv_status check_pairs(const void *values, uint64_t n)
{
    const int8_t *w = values; /* a quad is 4 values of one row, so pairs never cross a row */
    for (uint64_t i = 0; i < n; i += 2) {
        NEED(w[i] != -128 && w[i + 1] != -128, WV_ERR_VALUES);
        NEED(abs(w[i]) + abs(w[i + 1]) <= 128, WV_ERR_VALUES);
    }
    return WV_OK;
}

static wv_status check_row_ptr(const int32_t *row_ptr, uint64_t n_rows, uint32_t nnz_blocks)
{
    NEED(row_ptr[0] == 0, WV_ERR_ROW_PTR);
    for (uint64_t i = 0; i < n_rows; i++)
        NEED(row_ptr[i] <= row_ptr[i + 1], WV_ERR_ROW_PTR);
    NEED((uint32_t)row_ptr[n_rows] == nnz_blocks, WV_ERR_ROW_PTR);
    return WV_OK;
}

static wv_status check_col_idx(const uint16_t *col_idx, const int32_t *row_ptr, uint64_t n_rows, uint32_t n_block_cols)
{
    for (uint64_t i = 0; i < n_rows; i++)
        for (int32_t k = row_ptr[i]; k < row_ptr[i + 1]; k++) {
            NEED(col_idx[k] < n_block_cols, WV_ERR_COL_IDX);
            NEED(k == row_ptr[i] || col_idx[k - 1] < col_idx[k], WV_ERR_COL_IDX);
        }
    return WV_OK;
}

/* 4) do the sections hold what a kernel may trust? */
static wv_status read_matrix(const cursor *c, const record *r, wv_matrix *m)
{
    const uint64_t n_values = (uint64_t)r->nnz_blocks * r->block_h * r->block_w;
    const void *section;
    TRY(view(c, r->values, value_bytes(r), &section));
    TRY(r->dtype == WV_I8    ? check_pairs(section, n_values)
        : r->dtype == WV_F16 ? check_finite_f16(section, n_values)
                             : check_finite(section, n_values));
    m->values = section;
    TRY(view(c, r->row_ptr, 4 * (n_block_rows(r) + 1), &section));
    m->row_ptr = section;
    TRY(check_row_ptr(m->row_ptr, n_block_rows(r), r->nnz_blocks));
    TRY(view(c, r->col_idx, 2 * (uint64_t)r->nnz_blocks, &section));
    m->col_idx = section;
    TRY(check_col_idx(m->col_idx, m->row_ptr, n_block_rows(r), r->cols / r->block_w));
    TRY(view(c, r->bias, 4 * (uint64_t)r->rows, &section));
    TRY(check_finite(section, r->rows));
    m->bias = section;
    if (r->dtype == WV_I8) {
        TRY(view(c, r->scale, 4 * (uint64_t)r->rows, &section));
        TRY(check_finite(section, r->rows));
        m->scale = section;
        for (uint32_t i = 0; i < r->rows; i++)
            NEED(m->scale[i] > 0, WV_ERR_VALUES);
    }
    m->dtype = (int32_t)r->dtype;
    m->rows = (int32_t)r->rows;
    m->cols = (int32_t)r->cols;
    m->block_h = (int32_t)r->block_h;
    m->block_w = (int32_t)r->block_w;
    m->n_block_rows = (int32_t)n_block_rows(r);
    m->nnz_blocks = (int32_t)r->nnz_blocks;
    m->x_scale = r->x_scale;
    m->x_zero = r->x_zero;
    return WV_OK;
}

static wv_status parse(const void *data, size_t n_bytes, struct wv_model *m)
{
    header h;
    record r[WV_N_MATRICES];
    const void *section;
    TRY(read_header(data, n_bytes, &h));
    TRY(read_config(&h, m));

    cursor c = {data, HEADER_BYTES, n_bytes};
    memcpy(r, c.data + sizeof h, sizeof r);
    const uint64_t I_bytes = 4 * 3 * (uint64_t)m->n_x * h.n_units;
    const uint64_t n_bins = h.n_fft / 2 + 1, M_bytes = 4 * ((uint64_t)m->lags + 1) * h.n_mels;
    const uint64_t lane_bytes = 4 * 3 * (uint64_t)h.subscale * h.n_units;
    const int int8 = r[WV_C2].dtype == WV_I8; /* C2 and all after it are int8, or none is */
    for (int i = 0; i < WV_N_MATRICES; i++) {
        uint32_t rows, cols;
        matrix_shape(&h, i, &rows, &cols);
        TRY(check_record(&c, &r[i], i, int8 && i != WV_C1, rows, cols));
    }
    TRY(check_place(&c, h.I, I_bytes));
    if (h.lpc_order > 0)
        TRY(check_place(&c, h.M, M_bytes));
    if (h.subscale > 0)
        TRY(check_place(&c, h.lane, lane_bytes));
    if (h.postfilter > 0) {
        TRY(check_place(&c, h.band, 4 * n_bins));
        TRY(check_place(&c, h.weight, 4 * 3 * n_bins));
    }
    const uint64_t stats_bytes = 4 * 2 * (uint64_t)h.n_mels;
    const int has_stats = h.version == 4 || h.denoise > 0 || h.mel_stats > 0;
    if (has_stats)
        TRY(check_place(&c, h.mel_stats, stats_bytes));
    TRY(check_place(&c, h.metadata, h.metadata_bytes));
    NEED(c.position == c.end, WV_ERR_SECTION);

    for (int i = 0; i < WV_N_MATRICES; i++)
        TRY(read_matrix(&c, &r[i], &m->matrix[i]));
    TRY(view(&c, h.I, I_bytes, &section));
    TRY(check_finite(section, I_bytes / 4));
    m->I = section;
    const float *c_t = m->I + (uint64_t)(m->n_x - 1) * 3 * h.n_units; /* (3, 2, n_units / 2) gate, half, unit */
    for (uint32_t i = 0; i < 3 * h.n_units; i++)
        NEED(i % h.n_units >= h.n_units / 2 || c_t[i] == 0, WV_ERR_VALUES);
    if (h.lpc_order > 0) {
        TRY(view(&c, h.M, M_bytes, &section));
        TRY(check_finite(section, M_bytes / 4));
        m->M = section;
        for (uint32_t b = 0; b < h.n_mels; b++) /* a power of more than nothing: kernels divide by their sum */
            NEED(m->M[b] >= M_MIN, WV_ERR_VALUES);
    }
    if (h.subscale > 0) {
        TRY(view(&c, h.lane, lane_bytes, &section));
        TRY(check_finite(section, lane_bytes / 4));
        m->lane = section;
    }
    if (h.postfilter > 0) {
        TRY(view(&c, h.band, 4 * n_bins, &section));
        m->band = section;
        TRY(view(&c, h.weight, 4 * 3 * n_bins, &section));
        m->weight = section;
        for (uint64_t k = 0; k < n_bins; k++)
            NEED(m->band[k] >= -1 && m->band[k] < m->n_mels, WV_ERR_VALUES);
        for (uint64_t k = 0; k < 3 * n_bins; k++)
            NEED(m->weight[k] >= 0 && m->weight[k] <= 1, WV_ERR_VALUES);
    }
    if (has_stats) {
        TRY(view(&c, h.mel_stats, stats_bytes, &section));
        TRY(check_finite(section, stats_bytes / 4));
        m->mel_stats = section;
        for (uint32_t b = 0; b < h.n_mels; b++)
            NEED(m->mel_stats[h.n_mels + b] >= MEL_STD_MIN, WV_ERR_VALUES);
    }
    return view(&c, h.metadata, h.metadata_bytes, &section);
}

static wv_status load(const void *data, size_t n_bytes, wv_model **model)
{
    struct wv_model m = {0};
    NEED(model != NULL, WV_ERR_ARGUMENT);
    *model = NULL;
    NEED(data != NULL, WV_ERR_ARGUMENT);
    NEED((uintptr_t)data % ALIGN == 0, WV_ERR_ALIGNMENT);
    TRY(parse(data, n_bytes, &m));

    wv_model *made = malloc(sizeof *made);
    wv_status status = made == NULL ? WV_ERR_MEMORY : wv_derive(&m);
    if (status != WV_OK) {
        free(made);
        return status;
    }
    *made = m;
    *model = made;
    return WV_OK;
}

wv_status wv_model_load(const void *data, size_t n_bytes, wv_model **model)
{
    const wv_fp_mode mode = wv_fp_enter(); /* a scale may be subnormal, and is above 0 all the same */
    const wv_status status = load(data, n_bytes, model);
    wv_fp_leave(mode);
    return status;
}

void wv_model_free(wv_model *model)
{
    if (model != NULL)
        free(model->derived);
    free(model);
}

wv_status wv_model_info(const wv_model *model, wv_info *info)
{
    NEED(model != NULL && info != NULL, WV_ERR_ARGUMENT);
    info->sample_rate = model->sample_rate;
    info->hop_length = model->hop_length;
    info->n_mels = model->n_mels;
    info->n_units = model->n_units;
    info->lookahead = model->cond_width / 2 + wv_subscale_frames(model);
    info->dtype = model->matrix[WV_R].dtype;
    memcpy(info->mel_name, model->mel_name, sizeof info->mel_name);
    info->postfilter = model->postfilter;
    info->filter_delay = wv_filter_delay(model);
    return WV_OK;
}
