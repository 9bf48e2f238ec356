/* What the host offers to a plugin: services for the process, and the context of one call. */
#ifndef L2O_ABI_CALL_H
#define L2O_ABI_CALL_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lives as long as the process. */
typedef struct l2o_host {
    uint32_t struct_size, abi_major, abi_minor, reserved;
    const char *name, *version;
    L2O_FN(const void*, get_extension, const struct l2o_host*, const char* id); /* [any] unknown id: NULL */
} l2o_host;

/* Everything that varies per call; it grows without touching any signature. */
typedef struct l2o_call {
    uint32_t struct_size, flags;
    const l2o_host* host;
    uint64_t key[2];  /* counter-based key (Philox4x32-10, l2o/numerics/philox.hpp): same key, same draws   */
    uint64_t row0;    /* global index of batch row 0: row b draws at row0 + b, so a batch may be split      */
    void* scratch;    /* 64-byte aligned, contents undefined, for this call only                            */
    uint64_t scratch_bytes;
    const volatile int32_t* cancel; /* NULL, or polled in long loops; non-zero: return L2O_CANCELLED        */
    char* err;        /* text of the error, NUL-terminated, at most err_cap bytes                           */
    uint32_t err_cap, max_threads;
} l2o_call;

/* What an instance promises. */
enum {
    L2O_DETERMINISTIC = 1u << 0, /* same inputs, shapes, key and thread count give the same bits            */
    L2O_ROW_INVARIANT = 1u << 1, /* the bits of row b depend neither on B nor on the other rows             */
    L2O_SERIAL = 1u << 2,        /* not concurrent on one instance: the host serialises its calls           */
    L2O_PARAMS_BY_PROBLEM = 1u << 3, /* parameter shapes depend on the problem: no transfer across sizes    */
    L2O_STOCHASTIC = 1u << 4,    /* uses call->key (optimizer), or batch_key (optimizee)                    */
    L2O_COORDINATEWISE = 1u << 5,/* a step on a slice of coordinates is the slice of the step               */
    L2O_NEEDS_F = 1u << 6,       /* an optimizer that reads f                                               */
    L2O_NEEDS_G = 1u << 7,       /* an optimizer that reads g                                               */
    L2O_STARTS_AT_ZERO = 1u << 8,/* an optimizer that is only defined from x_0 = 0                          */
    L2O_ADDITIVE = 1u << 9       /* a loss that is a sum over time: windows of a trajectory may be scored   */
};

/* Questions that an optimizer may ask and an optimizee may answer, as bits. */
enum { L2O_VALUE = 1, L2O_GRADIENT = 2, L2O_HVP = 4, L2O_PROX = 8 };

#ifdef __cplusplus
}
#endif
#endif
