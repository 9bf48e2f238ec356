/* The problem that an optimizer or a loss in C99 is created for, in structs of this header. */
#ifndef L2O_C_PROBLEM_H
#define L2O_C_PROBLEM_H

#include <l2o/abi/optimizer.h>
#include <l2o/c/component.h>

/* Names, docs and shapes stay the host's, and are gone after create. */
typedef struct l2o_c_problem {
    l2o_problem abi;          /* blocks and data point to the following */
    l2o_spec* specs;          /* of the blocks, then of the data        */
    const l2o_spec** entries; /* NULL: data that is optional and absent */
} l2o_c_problem;

/* Frees what l2o_c_take_problem() allocated, after a failure, too. */
static inline void l2o_c_drop_problem(l2o_c_problem* own) {
    free(own->specs);
    free((void*)own->entries);
}

/* Copies what the host gives to create: a host of another minor has longer or shorter structs, of which an
 * absent tail is 0 (R2 of l2o/abi/base.h). */
static inline l2o_status l2o_c_take_problem(l2o_call* call, const l2o_problem* given, l2o_c_problem* own) {
    uint32_t n = 0;
    l2o_c_normalise(given, &own->abi, sizeof own->abi);
    n = own->abi.n_blocks + own->abi.n_data;
    own->specs = (l2o_spec*)calloc((size_t)n + 1, sizeof *own->specs);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    own->entries = (const l2o_spec**)calloc((size_t)n + 1, sizeof *own->entries);
    if (own->specs == NULL || own->entries == NULL)
        return l2o_c_fail(call, L2O_STATUS_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; ++i) {
        const l2o_spec* spec =
            i < own->abi.n_blocks ? own->abi.blocks[i] : own->abi.data[i - own->abi.n_blocks];
        if (spec == NULL) continue;
        l2o_c_normalise(spec, &own->specs[i], sizeof own->specs[i]);
        own->entries[i] = &own->specs[i];
    }
    own->abi.blocks = own->entries;
    own->abi.data = own->entries + own->abi.n_blocks;
    return L2O_STATUS_OK;
}

#endif
