/* Counter-based random numbers in C99: the draws of l2o::numerics::Stream (l2o/numerics/philox.hpp), bit for
 * bit. Equal (key, row, purpose) give equal integers and uniforms on every platform; normals are equal up to
 * the rounding of the C library's log, sin and cos. */
#ifndef L2O_C_PHILOX_H
#define L2O_C_PHILOX_H

#include <math.h>
#include <stdint.h>

/* Philox4x32-10. Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"
 * (SC11), with the constants of the authors' Random123. */
static inline void l2o_c_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = UINT64_C(0xD2511F53) * c0, p1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* The draws of one row; by value, as it has nothing to free. */
typedef struct l2o_c_stream {
    uint64_t row, position;
    double partner;
    uint32_t key[2], block[4];
    int32_t used, has_partner;
} l2o_c_stream;

/* key: two words, for example call->key. The purpose separates the draws that one call makes for different
 * things. */
static inline l2o_c_stream l2o_c_stream_of(const uint64_t* key, uint64_t row, uint32_t purpose) {
    const uint32_t counter[4] = {(uint32_t)key[1], (uint32_t)(key[1] >> 32), purpose, 1};
    const uint32_t low[2] = {(uint32_t)key[0], (uint32_t)(key[0] >> 32)};
    l2o_c_stream stream = {row, 0, 0, {0, 0}, {0, 0, 0, 0}, 4, 0};
    uint32_t folded[4];
    l2o_c_philox4x32(counter, low, folded);
    stream.key[0] = folded[0], stream.key[1] = folded[1];
    return stream;
}

static inline uint32_t l2o_c_bits(l2o_c_stream* stream) {
    if (stream->used == 4) {
        const uint32_t counter[4] = {(uint32_t)stream->position,
                                     (uint32_t)(stream->position >> 32),
                                     (uint32_t)stream->row,
                                     (uint32_t)(stream->row >> 32)};
        l2o_c_philox4x32(counter, stream->key, stream->block);
        ++stream->position;
        stream->used = 0;
    }
    return stream->block[stream->used++];
}
/* The first of two words is the low half. */
static inline uint64_t l2o_c_bits64(l2o_c_stream* stream) {
    const uint32_t low = l2o_c_bits(stream);
    return (uint64_t)l2o_c_bits(stream) << 32 | low;
}

/* Uniform on [0, 1): multiples of 2^-53 (two words), or of 2^-24 (one word). */
static inline double l2o_c_uniform(l2o_c_stream* stream) {
    return (double)(l2o_c_bits64(stream) >> 11) * (1.0 / 9007199254740992.0);
}
static inline float l2o_c_uniform_f32(l2o_c_stream* stream) {
    return (float)(l2o_c_bits(stream) >> 8) * (1.0F / 16777216.0F);
}

/* Standard normal. Draws come in pairs (four words): every second call returns the stored partner, also if
 * other draws were made in between. Source: Box & Muller 1958. */
static inline double l2o_c_normal(l2o_c_stream* stream) {
    const double pi = 3.141592653589793238462643383279502884;
    double radius = 0, angle = 0;
    stream->has_partner = !stream->has_partner;
    if (!stream->has_partner) return stream->partner;
    radius = sqrt(-2 * log(1 - l2o_c_uniform(stream))); /* 1 - u lies in (0, 1] */
    angle = 2 * pi * l2o_c_uniform(stream);
    stream->partner = radius * sin(angle);
    return radius * cos(angle);
}

/* Uniform on {0, ..., n - 1}, n > 0, without bias. */
static inline uint64_t l2o_c_below(l2o_c_stream* stream, uint64_t n) {
    const uint64_t rejected = (0 - n) % n; /* 2^64 mod n draws too many of the smallest values */
    uint64_t draw = l2o_c_bits64(stream);
    while (draw < rejected) draw = l2o_c_bits64(stream);
    return draw % n;
}

#endif
