/* kind "l2o.loss/1": a meta-loss, a score per row of a trajectory or of a window of it. */
#ifndef L2O_ABI_LOSS_H
#define L2O_ABI_LOSS_H

#include "call.h"
#include "option.h"
#include "spec.h"
#include "status.h"
#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define L2O_KIND_LOSS "l2o.loss/1"

typedef struct l2o_loss l2o_loss; /* immutable after create */

enum { L2O_LOSS_NEEDS_F = 1, L2O_LOSS_NEEDS_X = 2, L2O_LOSS_NEEDS_G = 4 }; /* bits of l2o_loss_info.needs */

typedef struct l2o_loss_info {
    uint32_t struct_size, needs;
    uint64_t flags; /* L2O_ADDITIVE, L2O_DETERMINISTIC, L2O_ROW_INVARIANT */
} l2o_loss_info;

/* Points t0 .. t0 + len - 1 of trajectories that are `horizon` steps long (points 0 .. horizon); a window of N
 * steps has len = N + 1. With the same layout, accumulators of cotangents (entries not wanted are NULL). */
typedef struct l2o_trajectory {
    uint32_t struct_size, batch;
    int64_t t0, len, horizon;
    uint32_t particles, n_blocks; /* particles 0: not a population                                     */
    const l2o_tensor* f;          /* [len, B] or [len, B, P]; NULL without L2O_LOSS_NEEDS_F            */
    l2o_in x;                     /* per block [len, B, shape] or [len, B, P, shape]; NULL without NEEDS_X */
    l2o_in data;                  /* in the order of l2o_component.needs; may hold solutions           */
    l2o_in g;                     /* df/dblock, like x; NULL without L2O_LOSS_NEEDS_G                  */
} l2o_trajectory;

typedef struct l2o_loss_api {
    uint32_t struct_size, reserved;
    L2O_FN(l2o_status, create, l2o_call*, const l2o_value* const* options, uint32_t n, l2o_loss** out); /* [any] */
    L2O_FN(void, destroy, l2o_loss*);
    L2O_FN(const l2o_loss_info*, info, const l2o_loss*);                                         /* [pure] */
    L2O_FN(l2o_status, eval, const l2o_loss*, l2o_call*, const l2o_trajectory*, l2o_tensor* per_row); /* [pure] [B] */
    /* [pure] acc += cot_row . d per_row; only f, x and g of acc are used. NULL: no derivative. */
    L2O_FN(l2o_status, vjp, const l2o_loss*, l2o_call*, const l2o_trajectory*, const l2o_tensor* cot_row,
           const l2o_trajectory* acc);
    L2O_FN(const void*, get_extension, const l2o_loss*, const char* id);                         /* [pure] */
} l2o_loss_api;

#ifdef __cplusplus
}
#endif
#endif
