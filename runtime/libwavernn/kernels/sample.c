/* sample.c - twin of wv_runtime/engine/kernels/sample.py. Included by every ISA after its vec_<isa>.h. */

/* The 64 random bits of sample t: splitmix64 (Steele, Lea, Flood 2014) as a counter-based generator. */
static inline uint64_t random_bits(uint64_t seed, uint64_t t) {
    uint64_t z = seed + (t + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* A byte from softmax(logits / temperature): the first i with p_0 + .. + p_i > (bits * sum p) >> 32. */
static int32_t sample_byte(const float *logits, float log2e_over_temperature, uint32_t bits, int32_t *p) {
    /* 1) l = logits * log2(e) / temperature, and its largest */
    const vf16 k = vf16_set1(log2e_over_temperature);
    vf16 l_max = vf16_load(logits);
    for (int32_t i = 16; i < 256; i += 16) l_max = vf16_max(l_max, vf16_load(logits + i));
    l_max = vf16_mul(vf16_set1(vf16_hmax(l_max)), k); /* a rounded product grows with its factor */
    /* 2) p_i = trunc(2^(l_i - l_max) * 2^23); the sum of 256 stays below 2^32 */
    uint32_t group_sum[16], sum = 0;
    for (int32_t g = 0; g < 16; g++) {
        vf16 l = vf16_max(vf16_sub(vf16_mul(vf16_load(logits + 16 * g), k), l_max), vf16_set1(-30.0f));
        vi16 p_g = vf16_trunc(exp2_negative(l, 23));
        vi16_store(p + 16 * g, p_g);
        group_sum[g] = vi16_hsum(p_g);
        sum += group_sum[g];
    }
    /* 3) find the group, then the symbol */
    const uint32_t threshold = (uint32_t)(((uint64_t)bits * sum) >> 32);
    uint32_t cumsum = 0;
    int32_t g = 0;
    while (g < 15 && cumsum + group_sum[g] <= threshold) cumsum += group_sum[g++];
    int32_t i = 16 * g;
    while (i < 16 * g + 15 && cumsum + (uint32_t)p[i] <= threshold) cumsum += (uint32_t)p[i++];
    return i;
}
