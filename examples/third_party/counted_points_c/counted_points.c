/* f(x) = 1/2 sum_k (c_k (x_k - p_k)^2 + x_k^2): x_k is drawn to p_k, counted c_k times, and once to 0. */
#include <l2o/c/optimizee.h>
#include <l2o/c/philox.h>

enum { P, C, X_STAR }; /* data */

/* Instance i depends on (call->key, split, i) alone, in whatever batch it is drawn. */
static l2o_status sample(
    const l2o_optimizee* self, l2o_call* call, int32_t split, uint64_t first, uint32_t count, l2o_out data) {
    for (uint32_t b = 0; b < count; ++b) {
        l2o_c_stream points = l2o_c_stream_of(call->key, first + b, l2o_c_purpose(split, P));
        l2o_c_stream counts = l2o_c_stream_of(call->key, first + b, l2o_c_purpose(split, C));
        for (int64_t k = 0; k < self->option[0].i; ++k) {
            l2o_c_put(data[P], b, k, l2o_c_normal(&points));
            l2o_c_put(data[C], b, k, 1 + (double)l2o_c_below(&counts, 9));
            const double c = l2o_c_get(data[C], b, k);
            l2o_c_put(data[X_STAR], b, k, c * l2o_c_get(data[P], b, k) / (c + 1));
        }
    }
    return L2O_STATUS_OK;
}

static l2o_status eval(const l2o_optimizee* self,
                       l2o_call* call,
                       const l2o_points* in,
                       const l2o_eval_out* out) {
    (void)call;
    for (uint32_t row = 0; row < in->batch; ++row) {
        const uint32_t b = row / in->rows_per_instance;
        double f = 0;
        for (int64_t k = 0; k < self->option[0].i; ++k) {
            const double x = l2o_c_get(in->x[0], row, k), away = x - l2o_c_get(in->data[P], b, k);
            const double pull = l2o_c_get(in->data[C], b, k) * away;
            f += (pull * away + x * x) / 2;
            l2o_c_put(l2o_c_gradient(out, 0), row, k, pull + x);
        }
        l2o_c_put(out->f, row, 0, f);
    }
    return L2O_STATUS_OK;
}

static l2o_status metrics(const l2o_optimizee* self, l2o_call* call, const l2o_points* in, l2o_out out) {
    (void)call;
    for (uint32_t row = 0; row < in->batch && out[0] != NULL; ++row) {
        double sum = 0;
        for (int64_t k = 0; k < self->option[0].i; ++k)
            sum += pow(
                l2o_c_get(in->x[0], row, k) - l2o_c_get(in->data[X_STAR], row / in->rows_per_instance, k), 2);
        l2o_c_put(out[0], row, 0, sqrt(sum));
    }
    return L2O_STATUS_OK;
}

L2O_C_OPTIMIZEE(.about = {.id = "org.example.counted_points_c",
                          .version = "1.0.0",
                          .title = "Counted points, in C",
                          .doc = "p ~ N(0, I), c uniform in 1 .. 9",
                          .license = "MIT",
                          .vendor = "Example",
                          .options = {L2O_C_INT("n", "3", 1, INFINITY, 0, "size")}},
                .info = {.flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT},
                .blocks = {{.name = "x", .axes = "n"}},
                .data = {{.name = "p", .axes = "n", .flags = L2O_SPEC_BATCHED},
                         {.name = "c", .axes = "n", .flags = L2O_SPEC_BATCHED, .dtype = L2O_DTYPE_I32},
                         {.name = "x_star", .axes = "n", .flags = L2O_SPEC_BATCHED | L2O_SPEC_SOLUTION}},
                .metrics = {{.name = "distance", .doc = "|x - x_star|", .flags = L2O_SPEC_NEEDS_SOLUTION}},
                .api = {.sample = sample, .eval = eval, .metrics = metrics})
