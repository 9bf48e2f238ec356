/* kind "l2o.loss/1": a meta-loss, a score per row of a trajectory or of a window of it. */
#ifndef L2O_ABI_LOSS_H
#define L2O_ABI_LOSS_H

#include "call.h"
#include "optimizer.h" /* l2o_problem */

#ifdef __cplusplus
extern "C" {
#endif

#define L2O_KIND_LOSS "l2o.loss/1"

typedef struct l2o_loss l2o_loss; /* immutable after create */

/* Further bits of l2o_loss_info.flags. */
#define L2O_LOSS_ADDITIVE (UINT64_C(1) << 32) /* the scores of windows, each from the last point of the one before, add up
                                                 to that of the trajectory                                  */
#define L2O_LOSS_WINDOWS (UINT64_C(1) << 33)  /* a window may be scored by itself, as a trajectory of its own; what is
                                                 additive has this bit, too                                 */

/* Bits of l2o_loss_info.reads. */
#define L2O_LOSS_READS_F 1u
#define L2O_LOSS_READS_X 2u
#define L2O_LOSS_READS_G 4u

typedef struct l2o_loss_info {
    uint32_t struct_size, reads;
    uint64_t flags; /* L2O_FLAG_* | L2O_LOSS_* */
} l2o_loss_info;

/* Points t0 .. t0 + len - 1 of trajectories that are `horizon` steps long (points 0 .. horizon); a window of N steps
 * has len = N + 1. */
typedef struct l2o_trajectory {
    uint32_t batch, particles; /* particles 0: not a population                                                   */
    int64_t t0, len, horizon;
    const l2o_tensor* f;       /* [len, B] or [len, B, P]; NULL without L2O_LOSS_READS_F                          */
    l2o_in x;                  /* per block [len, B, shape] or [len, B, P, shape]; NULL without L2O_LOSS_READS_X  */
    l2o_in g;                  /* df/dblock, like x; NULL without L2O_LOSS_READS_G                                */
    l2o_in data;               /* in the order of l2o_component.needs; may hold solutions                         */
} l2o_trajectory;

/* Accumulators of cotangents, [+=]; a NULL entry is not wanted. */
typedef struct l2o_trajectory_acc {
    l2o_tensor* f;
    l2o_out x, g;
} l2o_trajectory_acc;

typedef struct l2o_loss_api {
    uint32_t struct_size, reserved;
    /* [any] L2O_STATUS_UNSUPPORTED with a text if the problem does not suit; horizon 0: that of the trajectory. */
    L2O_FN(l2o_status, create, l2o_call*, const l2o_value* const* options, uint32_t n, const l2o_problem*,
           l2o_loss** out);
    L2O_FN(void, destroy, l2o_loss*);                                                                 /* [any]  */
    L2O_FN(const l2o_loss_info*, info, const l2o_loss*);                                              /* [pure] */
    L2O_FN(l2o_status, eval, const l2o_loss*, l2o_call*, const l2o_trajectory*, l2o_tensor* per_row); /* [pure] [B] */
    /* [pure] acc += cot_row . d per_row. NULL: no derivative. */
    L2O_FN(l2o_status, vjp, const l2o_loss*, l2o_call*, const l2o_trajectory*, const l2o_tensor* cot_row,
           const l2o_trajectory_acc* acc);
    L2O_FN(const void*, get_extension, const l2o_loss*, const char* id);                              /* [pure] */
} l2o_loss_api;

#ifdef __cplusplus
}
#endif
#endif
