/* Description of one named tensor. Owned by the instance that returns it, constant until destroy. */
#ifndef L2O_ABI_SPEC_H
#define L2O_ABI_SPEC_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { L2O_MIN = 0, L2O_MAX = 1 };                   /* role of a variable block: who moves it           */
enum { L2O_PARAM_LEARNED = 0, L2O_PARAM_BUFFER = 1 };/* role of a parameter; a BUFFER is derived from data
                                                        by init_params and never trained                 */
enum { L2O_DATA_STRUCTURE = 0, L2O_DATA_SOLUTION = 1 };/* role of problem data; a SOLUTION (x_star, f_star)
                                                        is never shown to an optimizer                   */
enum {
    L2O_DATA_BY_SOLVE = 1u,       /* data: filled by l2o_optimizee_api.solve, not by sample              */
    L2O_METRIC_NEEDS_SOLUTION = 2u,/* metric: asked for only when the solution tensors are there         */
    L2O_METRIC_HIGHER_IS_BETTER = 4u,
    L2O_METRIC_RATIO = 8u,        /* metric of shape [2], u and w: u / w for one row, for many their sum of u over
                                     their sum of w                                                      */
    L2O_METRIC_DECIBEL = 16u      /* ratio: told as 10 log10 of it                                       */
};

typedef struct l2o_spec {
    uint32_t struct_size, flags;
    const char *name, *doc;
    const char* axes;     /* names of the axes without B, "m,n", or NULL. An axis named like an integer option of
                             the optimizee has that option's value (0: the optimizee's choice); the host infers the option from
                             a file                                                                            */
    int32_t dtype, role;
    int32_t ndim, batched;/* batched: a leading axis B is prepended to shape */
    const int64_t* shape;
    int32_t layer;        /* parameter: the first step (from 0) that uses it, 0: all do; block of an optimizee: its layer */
    int32_t reserved;
} l2o_spec;

#ifdef __cplusplus
}
#endif
#endif
