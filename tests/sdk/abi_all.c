/* Everything that a plugin in C or C++ can include; compiled by itself in every supported standard. */
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>

uint32_t l2o_abi_all(const l2o_call* call) { return call->max_threads; }
