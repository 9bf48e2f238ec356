/* kind "l2o.optimizer/1": a map (params, state, x, f, g, answers) -> (x', state', questions).
 *
 * Blocks of x and g are [B, shape]; a population optimizer (info.particles = P >= 1) sees [B, P, shape]
 * and f [B, P]. g is the raw gradient df/dblock, also for a block with role L2O_MAX.
 *
 * Ask and tell: a step may set n_questions = K > 0 and fill q[0..K); the host evaluates them and calls again
 * with the same x, f, g and t, round + 1, the state that the previous round returned, and the answers. Rows
 * that are done repeat their x', state and questions bit for bit. The iteration ends with n_questions = 0. */
#ifndef L2O_ABI_OPTIMIZER_H
#define L2O_ABI_OPTIMIZER_H

#include "call.h"
#include "option.h"
#include "spec.h"
#include "status.h"
#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define L2O_KIND_OPTIMIZER "l2o.optimizer/1"

typedef struct l2o_optimizer l2o_optimizer; /* immutable after create */

typedef struct l2o_optimizer_info {
    uint32_t struct_size, n_params, n_state, particles; /* particles 0: not a population                   */
    uint64_t flags;                                     /* L2O_DETERMINISTIC ...                           */
    uint64_t scratch_fixed, scratch_per_row;            /* bytes; what step and step_vjp want              */
    uint32_t max_questions, question_kinds;             /* upper bounds; 0: never asks                     */
    int64_t max_steps;                                  /* number of layers; 0: any number of steps        */
    double grad_cost_per_step;                          /* gradients a structured step computes by itself  */
} l2o_optimizer_info;

/* The static shape of the task; lives until create returns. */
typedef struct l2o_problem {
    uint32_t struct_size, n_blocks, n_data, oracle_kinds; /* oracle_kinds: what the optimizee can answer    */
    const l2o_spec* const* blocks;
    const l2o_spec* const* data; /* in the order of l2o_component.needs; NULL: optional and absent          */
    int64_t horizon;             /* planned number of steps; 0: unknown                                     */
    int32_t dtype, reserved;     /* of x, g, f, params and state                                            */
} l2o_problem;

/* Primal inputs; with the same layout, accumulators of their cotangents (then every tensor is writable). */
typedef struct l2o_step_in {
    uint32_t struct_size, batch;
    int64_t t;
    uint32_t round, n_answers; /* round > 0: n_answers = K of the previous round                           */
    l2o_in params, state, x, g, data;
    const l2o_tensor* f;       /* [B] or [B, P]; NULL without L2O_NEEDS_F                                  */
    l2o_in q, qg;              /* one per block, [K, B, shape]: previous questions, gradients there        */
    const l2o_tensor* qf;      /* [K, B]                                                                   */
    const struct l2o_step_out* out; /* vjp: state and x that the forward call wrote; NULL: compute them again */
} l2o_step_in;

/* Primal outputs; with the same layout, their cotangents (read only, NULL is zero). */
typedef struct l2o_step_out {
    uint32_t struct_size, batch;
    l2o_out state, x, q;       /* q: one per block, [max_questions, B, shape]                              */
    l2o_tensor* x_from_q;      /* i32 [B]: row's x' is in->q[k] -> k, whose answer is known and not computed
                                  again; else -1. NULL iff max_questions is 0                              */
    uint32_t n_questions, question_kinds; /* written by the plugin; 0: iteration done for every row         */
} l2o_step_out;

typedef struct l2o_optimizer_api {
    uint32_t struct_size, reserved;
    /* [any] Values in schema order. L2O_UNSUPPORTED with a text if the problem does not suit. */
    L2O_FN(l2o_status, create, l2o_call*, const l2o_value* const* options, uint32_t n, const l2o_problem*,
           l2o_optimizer** out);
    L2O_FN(void, destroy, l2o_optimizer*);
    L2O_FN(const l2o_optimizer_info*, info, const l2o_optimizer*);           /* [pure] */
    L2O_FN(const l2o_spec*, param_spec, const l2o_optimizer*, uint32_t i);   /* [pure] */
    L2O_FN(const l2o_spec*, state_spec, const l2o_optimizer*, uint32_t i);   /* [pure] */
    /* [pure] Start values of the parameters; a NULL entry of params is not wanted. */
    L2O_FN(l2o_status, init_params, const l2o_optimizer*, l2o_call*, l2o_in data, l2o_out params);
    /* [pure] State at t = 0; of `in` only params, x, data and batch are set. */
    L2O_FN(l2o_status, init_state, const l2o_optimizer*, l2o_call*, const l2o_step_in* in, l2o_out state);
    L2O_FN(l2o_status, step, const l2o_optimizer*, l2o_call*, const l2o_step_in*, l2o_step_out*); /* [pure] */
    L2O_FN(const void*, get_extension, const l2o_optimizer*, const char* id); /* [pure] may depend on options */
} l2o_optimizer_api;

/* Stateless reverse mode. `in` and call->key are those of the forward call (the plugin recomputes inside);
 * `cot` holds cotangents of x', state' and q; every tensor of `acc` that is not NULL is ADDED to. */
#define L2O_EXT_OPTIMIZER_VJP "l2o.optimizer.vjp/1"
typedef struct l2o_optimizer_vjp {
    uint32_t struct_size, reserved;
    L2O_FN(l2o_status, step_vjp, const l2o_optimizer*, l2o_call*, const l2o_step_in* in,
           const l2o_step_out* cot, const l2o_step_in* acc);                  /* [pure] */
    /* [pure] NULL if the initial state depends neither on params nor on x. */
    L2O_FN(l2o_status, init_state_vjp, const l2o_optimizer*, l2o_call*, const l2o_step_in* in,
           l2o_in cot_state, const l2o_step_in* acc);
} l2o_optimizer_vjp;

#ifdef __cplusplus
}
#endif
#endif
