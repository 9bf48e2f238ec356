/* Polyak 1964, heavy ball: v <- mu v + g, x <- x - learning_rate v. */
#include <l2o/c/optimizer.h>

#define STEP(name, T)                                                                           \
    static l2o_status name(                                                                     \
        const l2o_optimizer* self, l2o_call* call, const l2o_step_in* in, l2o_step_out* out) {  \
        const T eta = (T)self->option[0].d, keep = (T)self->option[1].d;                        \
        (void)call;                                                                             \
        for (uint32_t k = 0; k < self->n_blocks; ++k)                                           \
            for (uint32_t row = 0; row < in->batch; ++row) {                                    \
                const T *x = l2o_c_row(in->x[k], row), *g = l2o_c_row(in->g[k], row);           \
                const T* v = l2o_c_row(in->state[k], row);                                      \
                T *x_next = l2o_c_row(out->x[k], row), *v_next = l2o_c_row(out->state[k], row); \
                for (int64_t i = 0; i < l2o_c_row_size(in->x[k]); ++i) {                        \
                    v_next[i] = keep * v[i] + g[i];                                             \
                    x_next[i] = x[i] - eta * v_next[i];                                         \
                }                                                                               \
            }                                                                                   \
        return L2O_STATUS_OK;                                                                   \
    }
STEP(step_float, float)
STEP(step_double, double)

L2O_C_OPTIMIZER(
        .about =
            {.id = "org.example.momentum_c",
             .version = "1.0.0",
             .title = "Heavy ball, in C",
             .doc = "v <- mu v + g, x <- x - learning_rate v. Polyak 1964.",
             .license = "MIT",
             .vendor = "Example",
             .options = {L2O_C_REAL(
                             "learning_rate", "0.01", 0, INFINITY, L2O_OPTION_OPEN_MIN, "size of a step"),
                         L2O_C_REAL("mu", "0.9", 0, 1, L2O_OPTION_OPEN_MAX, "share of v that is kept")}},
        .info = {.flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT | L2O_OPTIMIZER_COORDINATEWISE,
                 .reads = L2O_ORACLE_GRADIENT},
        .states = {"v"},
        .step_f32 = step_float,
        .step_f64 = step_double)
