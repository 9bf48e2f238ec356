/* f(x, y) = sum_i A_i (sum_k x_k + y - b): two blocks, a shared tensor and one of integers. */
#include "in_c.h"
#undef L2O_ENTRY
#define L2O_ENTRY l2o_test_c_optimizee
#include <l2o/c/optimizee.h>
#include <l2o/c/philox.h>

enum { A, B, SOLUTION };

static l2o_status sample(
    const l2o_optimizee* self, l2o_call* call, int32_t split, uint64_t first, uint32_t count, l2o_out data) {
    l2o_c_stream shared = l2o_c_stream_of(call->key, 0, l2o_c_purpose(split, A));
    for (int64_t i = 0; i < self->option[0].i * self->option[1].i; ++i)
        l2o_c_put(data[A], i / self->option[1].i, i % self->option[1].i, l2o_c_normal(&shared));
    for (uint32_t b = 0; b < count; ++b) {
        l2o_c_put(data[B], b, 0, (double)(first + b));
        l2o_c_put(data[SOLUTION], b, 0, 7);
    }
    return L2O_STATUS_OK;
}

static l2o_status eval(const l2o_optimizee* self,
                       l2o_call* call,
                       const l2o_points* in,
                       const l2o_eval_out* out) {
    double sum = 0;
    if (in->batch == 0) return l2o_c_fail(call, L2O_STATUS_INVALID, "%u rows; expected %s", 0U, "some");
    for (int64_t i = 0; i < self->option[0].i; ++i)
        for (int64_t k = 0; k < self->option[1].i; ++k) sum += l2o_c_get(in->data[A], i, k);
    for (uint32_t row = 0; row < in->batch; ++row) {
        double away = l2o_c_get(in->x[1], row, 0) - l2o_c_get(in->data[B], row / in->rows_per_instance, 0);
        for (int64_t k = 0; k < self->option[1].i; ++k) away += l2o_c_get(in->x[0], row, k);
        for (int64_t k = 0; k < self->option[1].i; ++k) l2o_c_put(l2o_c_gradient(out, 0), row, k, sum);
        l2o_c_put(l2o_c_gradient(out, 1), row, 0, sum);
        l2o_c_put(out->f, row, 0, sum * away);
    }
    return L2O_STATUS_OK;
}

static l2o_status accept(const l2o_optimizee* self, l2o_call* call) {
    if (self->option[0].i <= self->option[1].i) return L2O_STATUS_OK;
    return l2o_c_fail(call,
                      L2O_STATUS_UNSUPPORTED,
                      "rows is %d; expected at most row, which is %d",
                      (int)self->option[0].i,
                      (int)self->option[1].i);
}

L2O_C_OPTIMIZEE(.about = {.id = "in_c",
                          .version = "1.2.3",
                          .title = "In C",
                          .doc = "For tests.",
                          .license = "MIT",
                          .vendor = "Example",
                          .options = {L2O_C_INT("rows", "2", 1, 9, 0, "rows of A"),
                                      L2O_C_INT("row", "3", 1, 9, 0, "columns of A")}},
                .info = {.flags = L2O_FLAG_DETERMINISTIC, .cost_gradient = 2},
                .blocks = {{.name = "x", .axes = "row"},
                           {.name = "y", .flags = L2O_SPEC_BOUNDED, .lower = -1, .upper = INFINITY}},
                .data = {{.name = "A", .axes = "rows,row"},
                         {.name = "b", .dtype = L2O_DTYPE_I64, .flags = L2O_SPEC_BATCHED},
                         {.name = "c",
                          .shape = (const int64_t[]){5},
                          .ndim = 1,
                          .flags = L2O_SPEC_BATCHED | L2O_SPEC_SOLUTION}},
                .metrics = {{.name = "share", .doc = "of nothing", .flags = L2O_SPEC_RATIO}},
                .api = {.sample = sample, .eval = eval},
                .accept = accept)
