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
    const l2o_host* host;
    uint64_t key[2];  /* counter-based key (Philox4x32-10, l2o/numerics/philox.hpp): same key, same draws   */
    uint64_t row0;    /* global index of batch row 0: row b draws at row0 + b, so a batch may be split      */
    void* scratch;    /* 64-byte aligned, contents undefined, for this call only                            */
    uint64_t scratch_bytes;
    const volatile int32_t* cancel; /* NULL, or polled in long loops; non-zero: return L2O_STATUS_CANCELLED */
    char* err;        /* text of the error, NUL-terminated, at most err_cap bytes; NULL if err_cap is 0     */
    uint32_t err_cap, max_threads;
} l2o_call;

/* What an instance promises, as bits of its info's flags. 64 bits wide: an enumerator of C99 ends at bit 30. */
#define L2O_FLAG_DETERMINISTIC (UINT64_C(1) << 0) /* same inputs, shapes, key and thread count: same bits          */
#define L2O_FLAG_ROW_INVARIANT (UINT64_C(1) << 1) /* the bits of row b depend neither on B nor on the other rows   */
#define L2O_FLAG_SERIAL (UINT64_C(1) << 2)        /* not concurrent on one instance: the host serialises its calls */
#define L2O_FLAG_STOCHASTIC (UINT64_C(1) << 3)    /* uses call->key (optimizer), or batch_key (optimizee)          */

/* What may be asked of an optimizee at a point, as bits. */
#define L2O_ORACLE_VALUE 1u
#define L2O_ORACLE_GRADIENT 2u
#define L2O_ORACLE_HVP 4u
#define L2O_ORACLE_PROX 8u

#ifdef __cplusplus
}
#endif
#endif
