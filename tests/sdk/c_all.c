/* The headers for plugins in C, all together; compiled by itself in every supported standard. */
#include <l2o/c/loss.h>
#include <l2o/c/optimizee.h>
#include <l2o/c/optimizer.h>
#include <l2o/c/philox.h>
#include <l2o/c/problem.h>

uint32_t l2o_c_all(const l2o_optimizer* instance) { return l2o_c_state(instance, 0, 0); }
