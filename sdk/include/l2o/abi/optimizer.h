/* kind "l2o.optimizer/1": a map (params, state, x, f, g, answers) -> (x', state', questions).
 *
 * Blocks of x and g are [B, shape]; of a population (info.particles = P >= 1) [B, P, shape], and what is [B] below is
 * [B, P] then, but for row_status. g is the raw gradient df/dblock, also of a block that is maximised.
 *
 * ASK AND TELL
 *  A step may set n_questions = K > 0, fill q[0 .. K) and say in q_wanted what it wants to know of which question of
 *  which row. The host answers and calls again with the same x, f, g and t, round + 1, the state that the previous
 *  round returned, and the answers. Of what was not wanted nothing is known: qf and qg are undefined there. A row that
 *  wants nothing is done: it repeats its x', state and x_is bit for bit in the rounds that follow. The iteration ends
 *  with n_questions = 0. What a row is charged depends on what it wanted alone.
 *
 * ROWS
 *  A row whose row_status is not L2O_ROW_GOES_ON is not stepped again: its x' and state are the last. Particles of a
 *  population ask, and are done with an iteration, each by itself; only whole rows end. */
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

/* Further bits of l2o_optimizer_info.flags. */
#define L2O_OPTIMIZER_PARAMS_BY_PROBLEM (UINT64_C(1) << 32) /* parameter shapes depend on the problem              */
#define L2O_OPTIMIZER_COORDINATEWISE (UINT64_C(1) << 33)    /* a step on a slice of coordinates is the slice of the step */
#define L2O_OPTIMIZER_STARTS_AT_ZERO (UINT64_C(1) << 34)    /* only defined from x_0 = 0                           */
#define L2O_OPTIMIZER_ENDS_ROWS (UINT64_C(1) << 35)         /* writes row_status                                   */
#define L2O_OPTIMIZER_KEEPS_BOUNDS (UINT64_C(1) << 36)      /* x' lies within the bounds of its block; without it the
                                                               host refuses a problem that has some                */

typedef struct l2o_optimizer_info {
    uint32_t struct_size, n_params, n_state, particles; /* particles 0: not a population                           */
    uint64_t flags;                                     /* L2O_FLAG_* | L2O_OPTIMIZER_*                            */
    uint64_t scratch_fixed, scratch_per_row;            /* bytes; what step, step_vjp and init_state want          */
    uint32_t reads;         /* L2O_ORACLE_VALUE | _GRADIENT: which of f and g every step is to be given            */
    uint32_t max_questions; /* upper bound of n_questions; 0: never asks                                           */
    uint32_t question_kinds, reserved; /* L2O_ORACLE_VALUE | _GRADIENT: the most that q_wanted says                */
    int64_t max_steps;                 /* number of layers; 0: any number of steps                                 */
    double points_per_step;            /* evaluations that a step makes by itself, from the data                   */
} l2o_optimizer_info;

/* The static shape of the task; lives until create returns. */
typedef struct l2o_problem {
    uint32_t struct_size, n_blocks, n_data, dtype; /* dtype: of x, f, g, params and (without another word) state   */
    const l2o_spec* const* blocks;
    const l2o_spec* const* data; /* in the order of l2o_component.needs; NULL: optional and absent                 */
    uint64_t flags;              /* of the optimizee: L2O_FLAG_STOCHASTIC                                          */
    uint32_t answers, reserved;  /* what the optimizee can answer: L2O_ORACLE_*                                    */
    int64_t horizon;             /* planned number of steps; 0: unknown                                            */
    int64_t max_evaluations;     /* budget of a row; 0: none                                                       */
} l2o_problem;

typedef struct l2o_step_in {
    uint32_t batch, round; /* round 0: nothing was asked yet                                                       */
    int64_t t;
    l2o_in params, state, x, g, data; /* g: NULL unless info.reads has it                                          */
    const l2o_tensor* f;              /* [B]; NULL unless info.reads has it                                        */
    uint32_t n_answers, reserved;     /* K of the previous round                                                   */
    l2o_in q, qg;                     /* one per block, [max_questions, B, shape]: the questions as the previous round
                                         wrote them, and the gradients there                                       */
    const l2o_tensor* qf;             /* [max_questions, B]                                                        */
} l2o_step_in;

/* Of an element of row_status. */
enum { L2O_ROW_GOES_ON = 0, L2O_ROW_CONVERGED = 1, L2O_ROW_FAILED = 2 };
/* Of an element of x_is; k >= 0: question k of the last round in which the row wanted something. */
enum { L2O_X_IS_NEW = -1, L2O_X_IS_UNCHANGED = -2 };

typedef struct l2o_step_out {
    l2o_out state, x, q;    /* q: one per block, [max_questions, B, shape]; NULL iff max_questions is 0            */
    l2o_tensor* q_wanted;   /* i32 [max_questions, B]: L2O_ORACLE_* of question k for row b; zeros from the host.
                               NULL iff max_questions is 0                                                         */
    l2o_tensor* x_is;       /* i32 [B]: what is known of x'; L2O_X_IS_NEW from the host. Of a question everything
                               that was answered, of an unchanged x all that is known of x, is not evaluated again */
    l2o_tensor* row_status; /* i32 [B]: zeros from the host, read after the last round; NULL without
                               L2O_OPTIMIZER_ENDS_ROWS                                                             */
    uint32_t n_questions, reserved; /* 0 from the host                                                             */
} l2o_step_out;

/* Cotangents of the outputs of a step; a NULL entry is zero. */
typedef struct l2o_step_cot {
    l2o_in state, x, q;
} l2o_step_cot;

/* Accumulators of the cotangents of its inputs, [+=]; a NULL entry is not wanted. */
typedef struct l2o_step_acc {
    l2o_out params, state, x, g;
    l2o_tensor* f;
    l2o_out q, qg;
    l2o_tensor* qf;
} l2o_step_acc;

typedef struct l2o_optimizer_api {
    uint32_t struct_size, reserved;
    /* [any] Values in schema order. L2O_STATUS_UNSUPPORTED with a text if the problem does not suit. */
    L2O_FN(l2o_status, create, l2o_call*, const l2o_value* const* options, uint32_t n, const l2o_problem*,
           l2o_optimizer** out);
    L2O_FN(void, destroy, l2o_optimizer*);                                   /* [any]  */
    L2O_FN(const l2o_optimizer_info*, info, const l2o_optimizer*);           /* [pure] */
    L2O_FN(const l2o_spec*, param_spec, const l2o_optimizer*, uint32_t i);   /* [pure] */
    L2O_FN(const l2o_spec*, state_spec, const l2o_optimizer*, uint32_t i);   /* [pure] */
    L2O_FN(l2o_status, init_params, const l2o_optimizer*, l2o_call*, l2o_in data, l2o_out params); /* [pure] */
    /* [pure] State at t = 0; of `in` only params, x, data and batch are set. */
    L2O_FN(l2o_status, init_state, const l2o_optimizer*, l2o_call*, const l2o_step_in* in, l2o_out state);
    L2O_FN(l2o_status, step, const l2o_optimizer*, l2o_call*, const l2o_step_in*, l2o_step_out*); /* [pure] */
    /* [pure] The point to report for an iterate, where that is not x: an average, the best so far. `in` is the argument
     * of the next step without f and g. It is not charged. NULL: x. */
    L2O_FN(l2o_status, recommend, const l2o_optimizer*, l2o_call*, const l2o_step_in* in, l2o_out x);
    L2O_FN(const void*, get_extension, const l2o_optimizer*, const char* id); /* [pure] may depend on options */
} l2o_optimizer_api;

/* Stateless reverse mode. `in` and call->key are those of the forward call (the plugin recomputes inside). */
#define L2O_EXT_OPTIMIZER_VJP "l2o.optimizer.vjp/1"
typedef struct l2o_optimizer_vjp {
    uint32_t struct_size, reserved;
    /* [pure] out: x' and state' as the forward call wrote them, or NULL: compute them again. */
    L2O_FN(l2o_status, step_vjp, const l2o_optimizer*, l2o_call*, const l2o_step_in* in, const l2o_step_out* out,
           const l2o_step_cot* cot, const l2o_step_acc* acc);
    /* [pure] NULL if the initial state depends neither on params nor on x. */
    L2O_FN(l2o_status, init_state_vjp, const l2o_optimizer*, l2o_call*, const l2o_step_in* in, l2o_in cot_state,
           const l2o_step_acc* acc);
} l2o_optimizer_vjp;

#ifdef __cplusplus
}
#endif
#endif
