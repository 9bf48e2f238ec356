/* Description of one named tensor. Owned by the instance that returns it, constant until destroy. */
#ifndef L2O_ABI_SPEC_H
#define L2O_ABI_SPEC_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of l2o_spec.flags, by what is described. */
#define L2O_SPEC_BATCHED (UINT64_C(1) << 0)      /* a leading axis B is prepended to shape                           */
#define L2O_SPEC_PER_PARTICLE (UINT64_C(1) << 1) /* state of a population: a leading axis P, behind B                */
#define L2O_SPEC_DERIVED (UINT64_C(1) << 2)      /* parameter: init_params computes it from the data; never trained,
                                                    never needed in a weight file                                    */
#define L2O_SPEC_MAXIMISED (UINT64_C(1) << 3)    /* block: its player moves it up                                    */
#define L2O_SPEC_BOUNDED (UINT64_C(1) << 4)      /* block: every element stays in [lower, upper]                     */
#define L2O_SPEC_BY_SOLVE (UINT64_C(1) << 5)     /* data: filled by l2o_optimizee_api.solve, not by sample           */
#define L2O_SPEC_SOLUTION (UINT64_C(1) << 6)     /* data that holds an answer (x_star, f_star): never shown to an
                                                    optimizer                                                        */
#define L2O_SPEC_OPTIMUM (UINT64_C(1) << 7)      /* solution: the least value of f, per instance                     */
#define L2O_SPEC_NEEDS_SOLUTION (UINT64_C(1) << 8) /* metric: asked for only when the solution tensors are there     */
#define L2O_SPEC_HIGHER_IS_BETTER (UINT64_C(1) << 9) /* metric                                                       */
#define L2O_SPEC_RATIO (UINT64_C(1) << 10) /* metric of shape [2], u and w: u / w for one row, for many their sum of u
                                              over their sum of w                                                    */
#define L2O_SPEC_DECIBEL (UINT64_C(1) << 11) /* ratio: told as 10 log10 of it                                        */

typedef struct l2o_spec {
    uint32_t struct_size, dtype; /* L2O_DTYPE_*                                                                      */
    uint64_t flags;              /* L2O_SPEC_*                                                                       */
    const char *name, *doc;
    const char* axes; /* names of the axes without B and P, "m,n", or NULL. An axis named like an integer option of the
                         optimizee has that option's value (0: the optimizee's choice); the host infers the option from
                         a file                                                                                      */
    const int64_t* shape;
    int32_t ndim;
    int32_t block; /* state: 1 + the index of the block whose coordinates it belongs to, a number or more of each; 0: none */
    int32_t layer; /* parameter: the first step (from 0) that uses it, 0: all do; block of an optimizee: its layer   */
    int32_t reserved;
    double lower, upper; /* L2O_SPEC_BOUNDED; may be infinite                                                        */
} l2o_spec;

#ifdef __cplusplus
}
#endif
#endif
