/* reader.c - any bytes to wv_model_load; one in SPEAKS of what it accepts speaks on every ISA.
 *
 * The mutator knows FORMAT.md: it damages fields, indices and numbers one by one, and makes size and checksum right again,
 * without which no damage would get past the first check. WV_FUZZ_RAW=1 leaves bytes as libFuzzer makes them. */
#include "core/crc32.h"
#include "fuzz.h"

enum { HEADER_WORDS = 48, RECORD_BYTES = 64, N_RECORDS = 8, HEADER_BYTES = 4 * HEADER_WORDS + N_RECORDS * RECORD_BYTES };
enum { MAX_HOP_SAMPLES = 256 }; /* beyond, the post-filter's first sample takes too long */
enum { SPEAKS = 16 };           /* one in so many accepted files speaks, which takes longer than to read it */

/* Byte offsets of FORMAT.md */
enum { FILE_BYTES = 16, N_UNITS = 20, I_OFFSET = 128 };
enum { ROWS = 8, BLOCK_H = 16, NNZ_BLOCKS = 24, VALUES = 36, ROW_PTR = 40, COL_IDX = 44, BIAS = 48, SCALE = 52 };

static uint32_t get32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wv_model *model = (wv_model *)&size; /* must become NULL on failure */
    void *bytes = exactly(data, size);
    const wv_status status = wv_model_load(bytes, size, &model);
    need((status == WV_OK) == (model != NULL), "a model without WV_OK, or WV_OK without a model");
    need(wv_status_name(status)[0] != '\0' && wv_status_str(status)[0] != '\0', "a status without name");
    if (status == WV_OK && get32(data + 12) % SPEAKS == 0) {
        wv_info info;
        need(wv_model_info(model, &info) == WV_OK, "wv_model_info");
        const source s = {data, 0, get32(data + 12)};
        live_everywhere(model, s, (info.lookahead + info.filter_delay + 1) * info.hop_length <= MAX_HOP_SAMPLES);
    }
    wv_model_free(model);
    free(bytes);
    return 0;
}

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define UNPOISON(data, n) __msan_unpoison(data, n) /* libFuzzer's own code is not instrumented */
#endif
#endif
#ifndef UNPOISON
#define UNPOISON(data, n) (void)(data)
#endif

static void put32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof v); }

static const uint32_t ODD[] = {0,   1,   2,   3,   4,    8,    16,    20,    31,         32,         63,         64,         65,
                               96,  127, 128, 160, 192,  255,  256,   512,   704,        4096,       8192,       65535,      65536,
                               (uint32_t)-127, 0x7fffffc0, 0x7fffffff, 0x80000000, 0xffffffff, 0xffffffc0, 0x40000000};
/* Bits of floats, halves and int8 pairs */
static const uint32_t NUMBERS[] = {0,          0x80000000, 0x7f7fffff, 0xff7fffff, 1,          0x00800000, 0x7f800000, 0x7fc00000, 0x7bff7bff,
                                   0xfbff7bff, 0x7c007c00, 0x00010001, 0x7f7f7f7f, 0x80808080, 0x0081017f, 0x4f000000, 0x3f800000, 0x42000000};
#define ONE_OF(table) (table)[next(&s, sizeof(table) / sizeof *(table))]

/* Another 32-bit number in its place */
static void change32(source *from, uint8_t *p) {
    source s = *from;
    const uint32_t old = get32(p), how = next(&s, 6);
    put32(p, how == 0 ? old + 1 : how == 1 ? old - 1 : how == 2 ? old + 64 : how == 3 ? 2 * old : ONE_OF(ODD));
    *from = s;
}

/* A number of the section at `offset` of n 32-bit numbers, or every one */
static void change_numbers(source *from, uint8_t *data, size_t size, uint64_t offset, uint64_t n) {
    source s = *from;
    if (n > 0 && offset + 4 * n <= size) {
        const uint32_t v = ONE_OF(NUMBERS);
        const uint64_t first = (next(&s, 256) * (uint64_t)256 + next(&s, 256)) % n, count = next(&s, 4) ? 1 : n - first;
        for (uint64_t i = first; i < first + count; i++) put32(data + offset + 4 * i, v);
    }
    *from = s;
}

static void damage(source *from, uint8_t *data, size_t size) {
    source s = *from;
    uint8_t *record = data + 4 * HEADER_WORDS + RECORD_BYTES * next(&s, N_RECORDS);
    const uint32_t rows = get32(record + ROWS), block_h = get32(record + BLOCK_H), nnz = get32(record + NNZ_BLOCKS);
    switch (next(&s, 8)) {
    case 0: change32(&s, data + 4 * (4 + next(&s, HEADER_WORDS - 4))); break;
    case 1:
    case 2: change32(&s, record + 4 * next(&s, RECORD_BYTES / 4)); break;
    case 3: {
        const uint64_t at = get32(record + ROW_PTR) + 4 * (uint64_t)(block_h ? next(&s, 256) % ((uint64_t)rows / block_h + 1) : 0);
        if (at + 4 <= size) change32(&s, data + at);
        break;
    }
    case 4: {
        const uint64_t at = get32(record + COL_IDX) + 2 * (uint64_t)(nnz ? next(&s, 256) * 256 % nnz : 0);
        if (at + 4 <= size) change32(&s, data + at);
        break;
    }
    case 5: change_numbers(&s, data, size, get32(record + VALUES), nnz); break;
    case 6: change_numbers(&s, data, size, get32(record + (next(&s, 2) ? BIAS : SCALE)), rows); break;
    case 7: change_numbers(&s, data, size, get32(data + I_OFFSET), 9 * (uint64_t)get32(data + N_UNITS)); break;
    }
    *from = s;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    UNPOISON(data, max_size);
    source s = {data, 0, seed};
    if (getenv("WV_FUZZ_RAW") || size < HEADER_BYTES || next(&s, 16) == 0) size = LLVMFuzzerMutate(data, size, max_size);
    UNPOISON(data, max_size);
    if (getenv("WV_FUZZ_RAW") || size < HEADER_BYTES) return size;
    for (uint32_t n = next(&s, 4); n > 0; n--) damage(&s, data, size);
    if (next(&s, 16) == 0) LLVMFuzzerMutate(data + 12, HEADER_BYTES - 12, HEADER_BYTES - 12); /* of unchanged length mostly */
    UNPOISON(data, max_size);
    if (next(&s, 32) > 0 && size % 64 == 0) put32(data + FILE_BYTES, (uint32_t)size);
    if (next(&s, 32) > 0) put32(data + 12, wv_crc32(data + 16, size - 16));
    return size;
}
