/* scale times the sum of f. */
#include "in_c.h"
#undef L2O_ENTRY
#define L2O_ENTRY l2o_test_c_loss
#include <l2o/c/loss.h>

static l2o_status eval(const l2o_loss* self, l2o_call* call, const l2o_trajectory* in, l2o_tensor* per_row) {
    (void)call;
    l2o_c_zero(per_row);
    for (int64_t j = 0; j < in->len; ++j)
        for (uint32_t b = 0; b < in->batch; ++b)
            l2o_c_add(per_row, b, 0, self->option[0].d * l2o_c_get(in->f, j, b));
    return L2O_STATUS_OK;
}

static l2o_status vjp(const l2o_loss* self,
                      l2o_call* call,
                      const l2o_trajectory* in,
                      const l2o_tensor* cot_row,
                      const l2o_trajectory_acc* acc) {
    (void)call;
    for (int64_t j = 0; j < in->len; ++j)
        for (uint32_t b = 0; b < in->batch; ++b)
            l2o_c_add(acc->f, j, b, self->option[0].d * l2o_c_get(cot_row, b, 0));
    return L2O_STATUS_OK;
}

static l2o_status accept(const l2o_loss* self, l2o_call* call, const l2o_problem* problem) {
    for (uint32_t k = 0; k < problem->n_blocks; ++k)
        if ((problem->blocks[k]->flags & L2O_SPEC_MAXIMISED) != 0)
            return l2o_c_fail(call,
                              L2O_STATUS_UNSUPPORTED,
                              "block '%s' is to be maximised, and %g f is not its score",
                              problem->blocks[k]->name,
                              self->option[0].d);
    return L2O_STATUS_OK;
}

L2O_C_LOSS(.about = {.id = "in_c",
                     .version = "1.2.3",
                     .title = "In C",
                     .doc = "For tests.",
                     .license = "MIT",
                     .vendor = "Example",
                     .options = {L2O_C_REAL("scale", "2", -INFINITY, INFINITY, 0, "of f")}},
           .info = {.reads = L2O_LOSS_READS_F, .flags = L2O_FLAG_DETERMINISTIC | L2O_LOSS_ADDITIVE},
           .api = {.eval = eval, .vjp = vjp},
           .accept = accept)
