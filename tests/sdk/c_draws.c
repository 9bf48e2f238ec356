#include <l2o/c/philox.h>
#include <string.h>

#include "in_c.h"

void l2o_test_draws(
    const uint64_t* key, uint64_t row, uint32_t purpose, const int* kinds, uint32_t n, uint64_t* out) {
    l2o_c_stream stream = l2o_c_stream_of(key, row, purpose);
    for (uint32_t i = 0; i < n; ++i) {
        double real = 0;
        if (kinds[i] == 0) out[i] = l2o_c_bits(&stream);
        if (kinds[i] == 1) out[i] = l2o_c_bits64(&stream);
        if (kinds[i] == 2) real = l2o_c_uniform(&stream);
        if (kinds[i] == 3) real = (double)l2o_c_uniform_f32(&stream);
        if (kinds[i] == 4) real = l2o_c_normal(&stream);
        if (kinds[i] == 5) out[i] = l2o_c_below(&stream, 10);
        if (kinds[i] >= 2 && kinds[i] <= 4) memcpy(&out[i], &real, sizeof real);
    }
}
