/* What test_c.cpp sees of the sources that are compiled as C99. */
#ifndef L2O_TESTS_SDK_IN_C_H
#define L2O_TESTS_SDK_IN_C_H

#include <l2o/abi/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Draw i is of kind kinds[i]: 0 bits, 1 bits64, 2 uniform, 3 uniform float, 4 normal, 5 below 10; its bits.
 */
void l2o_test_draws(
    const uint64_t* key, uint64_t row, uint32_t purpose, const int* kinds, uint32_t n, uint64_t* out);

/* Entries of libraries of one component. */
const l2o_plugin* l2o_test_c_optimizer(void);
const l2o_plugin* l2o_test_c_optimizee(void);
const l2o_plugin* l2o_test_c_loss(void);

#ifdef __cplusplus
}
#endif
#endif
