/* kind "l2o.optimizee/1": a distribution of problems. An instance batch IS its host-owned data tensors. */
#ifndef L2O_ABI_OPTIMIZEE_H
#define L2O_ABI_OPTIMIZEE_H

#include "call.h"
#include "option.h"
#include "spec.h"
#include "status.h"
#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define L2O_KIND_OPTIMIZEE "l2o.optimizee/1"

typedef struct l2o_optimizee l2o_optimizee; /* immutable after create */

enum { L2O_SPLIT_TRAIN = 0, L2O_SPLIT_VALIDATION = 1, L2O_SPLIT_TEST = 2 };

typedef struct l2o_optimizee_info {
    uint32_t struct_size, n_blocks, n_data, n_metrics;
    uint64_t flags;                          /* L2O_FLAG_*                                             */
    uint64_t scratch_fixed, scratch_per_row; /* bytes; what eval, hvp, prox and metrics want           */
    uint32_t answers, reserved;              /* L2O_ORACLE_*: what it can be asked                     */
    /* Evaluations that an answer is charged as; 0: one (a forward difference costs n + 1). */
    double cost_value, cost_gradient, cost_hvp, cost_prox;
} l2o_optimizee_info;

typedef struct l2o_optimizee_setting {
    uint32_t struct_size, dtype; /* dtype: of x, f, g and of the real-valued data */
} l2o_optimizee_setting;

/* Points. Row r of x belongs to instance r / rows_per_instance; data tensors have batch / rows_per_instance rows. */
typedef struct l2o_points {
    uint32_t batch, rows_per_instance;
    l2o_in data, x;
    uint64_t batch_key[2]; /* stochastic objectives: names the minibatch; same key, same batch */
} l2o_points;

typedef struct l2o_eval_out {
    l2o_tensor* f; /* [batch]; NULL: not wanted       */
    l2o_out g;     /* df/dblock, like x; NULL: not wanted */
} l2o_eval_out;

typedef struct l2o_optimizee_api {
    uint32_t struct_size, reserved;
    L2O_FN(l2o_status, create, l2o_call*, const l2o_value* const* options, uint32_t n,
           const l2o_optimizee_setting*, l2o_optimizee** out);               /* [any]  */
    L2O_FN(void, destroy, l2o_optimizee*);                                   /* [any]  */
    L2O_FN(const l2o_optimizee_info*, info, const l2o_optimizee*);           /* [pure] */
    L2O_FN(const l2o_spec*, block_spec, const l2o_optimizee*, uint32_t i);   /* [pure] */
    L2O_FN(const l2o_spec*, data_spec, const l2o_optimizee*, uint32_t i);    /* [pure] */
    L2O_FN(const l2o_spec*, metric_spec, const l2o_optimizee*, uint32_t i);  /* [pure] */
    /* [pure] Instance i of a split depends on (call->key, split, i) only, a shared tensor on call->key only:
     * [0,8) then [8,16) equals [0,16). Fills the data tensors of instances first .. first + count - 1; NULL, not wanted,
     * may be those that are shared, L2O_SPEC_SOLUTION or L2O_SPEC_BY_SOLVE. */
    L2O_FN(l2o_status, sample, const l2o_optimizee*, l2o_call*, int32_t split, uint64_t first, uint32_t count,
           l2o_out data);
    /* [pure] Start of row b, from call->key and call->row0 + b. */
    L2O_FN(l2o_status, init_point, const l2o_optimizee*, l2o_call*, uint32_t batch, l2o_in data, l2o_out x);
    L2O_FN(l2o_status, eval, const l2o_optimizee*, l2o_call*, const l2o_points*, const l2o_eval_out*); /* [pure] */
    /* [pure] hv = H(x) v, like x. NULL: cannot. */
    L2O_FN(l2o_status, hvp, const l2o_optimizee*, l2o_call*, const l2o_points*, l2o_in v, l2o_out hv);
    /* [pure] u = argmin f(u) + |u - x|^2 / (2 tau), tau [batch]. NULL: cannot. */
    L2O_FN(l2o_status, prox, const l2o_optimizee*, l2o_call*, const l2o_points*, const l2o_tensor* tau, l2o_out u);
    /* [pure] metrics[i] is [batch]; an L2O_SPEC_RATIO is [batch, 2]. NULL: none, and n_metrics is 0. */
    L2O_FN(l2o_status, metrics, const l2o_optimizee*, l2o_call*, const l2o_points*, l2o_out metrics);
    /* [pure] Fills the data tensors marked L2O_SPEC_BY_SOLVE from the others; expensive. NULL: none. */
    L2O_FN(l2o_status, solve, const l2o_optimizee*, l2o_call*, uint32_t count, l2o_in data, l2o_out solution);
    L2O_FN(const void*, get_extension, const l2o_optimizee*, const char* id); /* [pure] */
} l2o_optimizee_api;

#ifdef __cplusplus
}
#endif
#endif
