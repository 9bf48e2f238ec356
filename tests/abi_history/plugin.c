/* A plugin library that knows l2o by the headers it is built with alone: an optimizee, an optimizer that
 * learns, one that asks and ends rows, and a loss, in float64. */
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>
#include <math.h>
#include <stdio.h>

#include "tables.h"

/* Where a table that cannot do without its last field ends all the same. */
#ifndef COMPONENT_SIZE
#define COMPONENT_SIZE sizeof(l2o_component)
#endif
#ifndef OPTIMIZER_API_SIZE
#define OPTIMIZER_API_SIZE sizeof(l2o_optimizer_api)
#endif
#ifndef OPTIMIZEE_API_SIZE
#define OPTIMIZEE_API_SIZE sizeof(l2o_optimizee_api)
#endif
#ifndef LOSS_API_SIZE
#define LOSS_API_SIZE sizeof(l2o_loss_api)
#endif
/* Of a spec with bounds. */
#ifndef BOUNDED_SPEC_SIZE
#define BOUNDED_SPEC_SIZE sizeof(l2o_spec)
#endif

enum { N = 3 };
static const int64_t shape[] = {N};

static l2o_status fail(l2o_call* call, l2o_status status, const char* text) {
    if (call->err != NULL) snprintf(call->err, call->err_cap, "%s", text);
    return status;
}
static double* row(const l2o_tensor* tensor, int64_t b) {
    return (double*)tensor->data + b * tensor->strides[0];
}
/* The only option of every component here, a number. */
static double number(const l2o_value* const* options) {
    l2o_value own;
    TAKE(own, options[0]);
    return own.d;
}

/* ---- bowl: c/2 |x - b|^2 in a box around it */

struct l2o_optimizee {
    double c;
};
enum { B, F_STAR };
static const l2o_optimizee_info* bowl_info_given;
static const l2o_spec *x_given, *data_given[2], *distance_given;

static l2o_status bowl_create(l2o_call* call,
                              const l2o_value* const* options,
                              uint32_t n,
                              const l2o_optimizee_setting* given,
                              l2o_optimizee** out) {
    l2o_optimizee_setting setting;
    TAKE(setting, given);
    if (n != 1) return fail(call, L2O_STATUS_INVALID, "expected 1 option");
    if (setting.dtype != L2O_DTYPE_F64) return fail(call, L2O_STATUS_UNSUPPORTED, "expected float64");
    *out = (l2o_optimizee*)malloc(sizeof **out);
    if (*out == NULL) return fail(call, L2O_STATUS_NOMEM, "out of memory");
    (*out)->c = number(options);
    return L2O_STATUS_OK;
}
static void bowl_destroy(l2o_optimizee* self) { free(self); }
static const l2o_optimizee_info* bowl_info(const l2o_optimizee* self) {
    (void)self;
    return bowl_info_given;
}
static const l2o_spec* bowl_block(const l2o_optimizee* self, uint32_t i) {
    (void)self, (void)i;
    return x_given;
}
static const l2o_spec* bowl_data(const l2o_optimizee* self, uint32_t i) {
    (void)self;
    return data_given[i];
}
static const l2o_spec* bowl_metric(const l2o_optimizee* self, uint32_t i) {
    (void)self, (void)i;
    return distance_given;
}
/* In [-1, 1), from everything it depends on (splitmix64). */
static double draw(const l2o_call* call, uint64_t purpose, uint64_t which) {
    const uint64_t from[] = {call->key[0], call->key[1], purpose, which};
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
        bits = (bits ^ from[i]) + UINT64_C(0x9E3779B97F4A7C15);
        bits = (bits ^ bits >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        bits = (bits ^ bits >> 27) * UINT64_C(0x94D049BB133111EB);
        bits ^= bits >> 31;
    }
    return (double)(bits >> 11) * 0x1p-52 - 1;
}
static l2o_status bowl_sample(
    const l2o_optimizee* self, l2o_call* call, int32_t split, uint64_t first, uint32_t count, l2o_out data) {
    (void)self;
    for (uint32_t i = 0; i < count; ++i) {
        for (int j = 0; j < N && data[B] != NULL; ++j)
            row(data[B], i)[j] = draw(call, (uint64_t)split, (first + i) * N + (uint64_t)j);
        if (data[F_STAR] != NULL) *row(data[F_STAR], i) = 0;
    }
    return L2O_STATUS_OK;
}
static l2o_status bowl_start(
    const l2o_optimizee* self, l2o_call* call, uint32_t batch, l2o_in data, l2o_out x) {
    (void)self, (void)data;
    for (uint32_t b = 0; b < batch; ++b)
        for (int j = 0; j < N; ++j) row(x[0], b)[j] = draw(call, 3, (call->row0 + b) * N + (uint64_t)j);
    return L2O_STATUS_OK;
}
static l2o_status bowl_eval(const l2o_optimizee* self,
                            l2o_call* call,
                            const l2o_points* in,
                            const l2o_eval_out* out) {
    (void)call;
    for (uint32_t r = 0; r < in->batch; ++r) {
        const double *x = row(in->x[0], r), *b = row(in->data[B], r / in->rows_per_instance);
        double sum = 0;
        for (int j = 0; j < N; ++j) {
            sum += (x[j] - b[j]) * (x[j] - b[j]);
            if (out->g != NULL && out->g[0] != NULL) row(out->g[0], r)[j] = self->c * (x[j] - b[j]);
        }
        if (out->f != NULL) *row(out->f, r) = self->c / 2 * sum;
    }
    return L2O_STATUS_OK;
}
static l2o_status bowl_hvp(
    const l2o_optimizee* self, l2o_call* call, const l2o_points* in, l2o_in v, l2o_out hv) {
    (void)call;
    for (uint32_t r = 0; r < in->batch; ++r)
        for (int j = 0; j < N && hv[0] != NULL; ++j) row(hv[0], r)[j] = self->c * row(v[0], r)[j];
    return L2O_STATUS_OK;
}
static l2o_status bowl_prox(
    const l2o_optimizee* self, l2o_call* call, const l2o_points* in, const l2o_tensor* tau, l2o_out u) {
    (void)call;
    for (uint32_t r = 0; r < in->batch; ++r) {
        const double *x = row(in->x[0], r), *b = row(in->data[B], r / in->rows_per_instance);
        const double pull = self->c * *row(tau, r);
        for (int j = 0; j < N && u[0] != NULL; ++j) row(u[0], r)[j] = (x[j] + pull * b[j]) / (1 + pull);
    }
    return L2O_STATUS_OK;
}
static l2o_status bowl_metrics(const l2o_optimizee* self,
                               l2o_call* call,
                               const l2o_points* in,
                               l2o_out metrics) {
    (void)self, (void)call;
    for (uint32_t r = 0; r < in->batch && metrics[0] != NULL; ++r) {
        const double *x = row(in->x[0], r), *b = row(in->data[B], r / in->rows_per_instance);
        double sum = 0;
        for (int j = 0; j < N; ++j) sum += (x[j] - b[j]) * (x[j] - b[j]);
        *row(metrics[0], r) = sqrt(sum);
    }
    return L2O_STATUS_OK;
}
static const void* bowl_extension(const l2o_optimizee* self, const char* id) {
    (void)self, (void)id;
    return NULL;
}

/* ---- what both optimizers have in common: in a bowl they move towards its middle, and so stay in its box */

struct l2o_optimizer {
    double rate;
    int64_t n;
};

static l2o_status optimizer_create(l2o_call* call,
                                   const l2o_value* const* options,
                                   uint32_t n,
                                   const l2o_problem* given,
                                   l2o_optimizer** out) {
    l2o_problem problem;
    l2o_spec block;
    TAKE(problem, given);
    if (n != 1) return fail(call, L2O_STATUS_INVALID, "expected 1 option");
    if (problem.n_blocks != 1 || problem.dtype != L2O_DTYPE_F64)
        return fail(call, L2O_STATUS_UNSUPPORTED, "expected one block of float64");
    TAKE(block, problem.blocks[0]);
    *out = (l2o_optimizer*)malloc(sizeof **out);
    if (*out == NULL) return fail(call, L2O_STATUS_NOMEM, "out of memory");
    (*out)->rate = number(options);
    (*out)->n = 1;
    for (int32_t i = 0; i < block.ndim; ++i) (*out)->n *= block.shape[i];
    return L2O_STATUS_OK;
}
static void optimizer_destroy(l2o_optimizer* self) { free(self); }
static const l2o_spec* no_spec(const l2o_optimizer* self, uint32_t i) {
    (void)self, (void)i;
    return NULL;
}

/* ---- slope: x - exp(log_rate) g, log_rate is learned */

static const l2o_optimizer_info* slope_info_given;
static const l2o_spec* log_rate_given;
static const l2o_optimizer_vjp* slope_vjp_given;

static const l2o_optimizer_info* slope_info(const l2o_optimizer* self) {
    (void)self;
    return slope_info_given;
}
static const l2o_spec* slope_param(const l2o_optimizer* self, uint32_t i) {
    (void)self, (void)i;
    return log_rate_given;
}
static l2o_status slope_params(const l2o_optimizer* self, l2o_call* call, l2o_in data, l2o_out params) {
    (void)call, (void)data;
    *(double*)params[0]->data = log(self->rate);
    return L2O_STATUS_OK;
}
static l2o_status slope_state(const l2o_optimizer* self,
                              l2o_call* call,
                              const l2o_step_in* in,
                              l2o_out state) {
    (void)self, (void)call, (void)in, (void)state;
    return L2O_STATUS_OK;
}
static l2o_status slope_step(const l2o_optimizer* self,
                             l2o_call* call,
                             const l2o_step_in* in,
                             l2o_step_out* out) {
    const double rate = exp(*(const double*)in->params[0]->data);
    if (in->g == NULL) return fail(call, L2O_STATUS_INVALID, "expected the gradient");
    for (uint32_t b = 0; b < in->batch; ++b)
        for (int64_t j = 0; j < self->n; ++j)
            row(out->x[0], b)[j] = row(in->x[0], b)[j] - rate * row(in->g[0], b)[j];
    return L2O_STATUS_OK;
}
static l2o_status slope_vjp(const l2o_optimizer* self,
                            l2o_call* call,
                            const l2o_step_in* in,
                            const l2o_step_out* out,
                            const l2o_step_cot* cot,
                            const l2o_step_acc* acc) {
    const double rate = exp(*(const double*)in->params[0]->data);
    (void)call, (void)out;
    for (uint32_t b = 0; b < in->batch && cot->x[0] != NULL; ++b) {
        const double *c = row(cot->x[0], b), *g = row(in->g[0], b);
        for (int64_t j = 0; j < self->n; ++j) {
            if (acc->x[0] != NULL) row(acc->x[0], b)[j] += c[j];
            if (acc->g[0] != NULL) row(acc->g[0], b)[j] -= rate * c[j];
            if (acc->params[0] != NULL) *(double*)acc->params[0]->data -= rate * g[j] * c[j];
        }
    }
    return L2O_STATUS_OK;
}
static const void* slope_extension(const l2o_optimizer* self, const char* id) {
    (void)self;
    return strcmp(id, L2O_EXT_OPTIMIZER_VJP) == 0 ? slope_vjp_given : NULL;
}

/* ---- trial: asks for f at x - s g, goes there if it fell enough and halves s if not; a row without slope is
 * done */

static const l2o_optimizer_info* trial_info_given;
static const l2o_spec* scale_given;

static const l2o_optimizer_info* trial_info(const l2o_optimizer* self) {
    (void)self;
    return trial_info_given;
}
static const l2o_spec* trial_state_spec(const l2o_optimizer* self, uint32_t i) {
    (void)self, (void)i;
    return scale_given;
}
static l2o_status trial_params(const l2o_optimizer* self, l2o_call* call, l2o_in data, l2o_out params) {
    (void)self, (void)call, (void)data, (void)params;
    return L2O_STATUS_OK;
}
static l2o_status trial_state(const l2o_optimizer* self,
                              l2o_call* call,
                              const l2o_step_in* in,
                              l2o_out state) {
    (void)call;
    for (uint32_t b = 0; b < in->batch; ++b) *row(state[0], b) = self->rate;
    return L2O_STATUS_OK;
}
static l2o_status trial_step(const l2o_optimizer* self,
                             l2o_call* call,
                             const l2o_step_in* in,
                             l2o_step_out* out) {
    const size_t bytes = (size_t)self->n * sizeof(double);
    if (in->g == NULL || in->f == NULL) return fail(call, L2O_STATUS_INVALID, "expected the gradient");
    for (uint32_t b = 0; b < in->batch; ++b) {
        const double *x = row(in->x[0], b), *g = row(in->g[0], b);
        const double s = *row(in->state[0], b);
        double slope = 0;
        for (int64_t j = 0; j < self->n; ++j) slope += g[j] * g[j];
        memcpy(row(out->x[0], b), x, bytes);
        *row(out->state[0], b) = s;
        ((int32_t*)out->x_is->data)[b] = L2O_X_IS_UNCHANGED;
        if (slope < 1e-20) {
            ((int32_t*)out->row_status->data)[b] = L2O_ROW_CONVERGED;
        } else if (in->round == 0) {
            for (int64_t j = 0; j < self->n; ++j)
                ((double*)out->q[0]->data)[b * self->n + j] = x[j] - s * g[j];
            ((int32_t*)out->q_wanted->data)[b] = L2O_ORACLE_VALUE;
            out->n_questions = 1;
        } else if (((const double*)in->qf->data)[b] <= *row(in->f, b) - 1e-4 * s * slope) {
            memcpy(row(out->x[0], b), (const double*)in->q[0]->data + b * self->n, bytes);
            ((int32_t*)out->x_is->data)[b] = 0;
        } else {
            *row(out->state[0], b) = s / 2;
        }
    }
    return L2O_STATUS_OK;
}
static const void* trial_extension(const l2o_optimizer* self, const char* id) {
    (void)self, (void)id;
    return NULL;
}

/* ---- last: f of the last point, of a population the sum over its particles, times a number */

struct l2o_loss {
    double times;
};
static const l2o_loss_info* last_info_given;

static l2o_status last_create(
    l2o_call* call, const l2o_value* const* options, uint32_t n, const l2o_problem* given, l2o_loss** out) {
    l2o_problem problem;
    TAKE(problem, given);
    if (n != 1) return fail(call, L2O_STATUS_INVALID, "expected 1 option");
    if (problem.dtype != L2O_DTYPE_F64) return fail(call, L2O_STATUS_UNSUPPORTED, "expected float64");
    *out = (l2o_loss*)malloc(sizeof **out);
    if (*out == NULL) return fail(call, L2O_STATUS_NOMEM, "out of memory");
    (*out)->times = number(options);
    return L2O_STATUS_OK;
}
static void last_destroy(l2o_loss* self) { free(self); }
static const l2o_loss_info* last_info(const l2o_loss* self) {
    (void)self;
    return last_info_given;
}
static uint32_t particles_of(const l2o_trajectory* in) { return in->particles > 0 ? in->particles : 1; }
static l2o_status last_eval(const l2o_loss* self,
                            l2o_call* call,
                            const l2o_trajectory* in,
                            l2o_tensor* per_row) {
    const uint32_t particles = particles_of(in);
    (void)call;
    for (uint32_t b = 0; b < in->batch; ++b) {
        double sum = 0;
        for (uint32_t p = 0; p < particles; ++p) sum += row(in->f, in->len - 1)[b * particles + p];
        *row(per_row, b) = self->times * sum;
    }
    return L2O_STATUS_OK;
}
static l2o_status last_vjp(const l2o_loss* self,
                           l2o_call* call,
                           const l2o_trajectory* in,
                           const l2o_tensor* cot_row,
                           const l2o_trajectory_acc* acc) {
    const uint32_t particles = particles_of(in);
    (void)call;
    for (uint32_t b = 0; b < in->batch * particles && acc->f != NULL; ++b)
        row(acc->f, in->len - 1)[b] += self->times * *row(cot_row, b / particles);
    return L2O_STATUS_OK;
}
static const void* last_extension(const l2o_loss* self, const char* id) {
    (void)self, (void)id;
    return NULL;
}

/* ---- the tables */

static l2o_status init(const l2o_host* given, l2o_call* call) {
    l2o_host host;
    TAKE(host, given);
    if (host.abi_major != L2O_ABI_MAJOR) return fail(call, L2O_STATUS_INTERNAL, "a host of another major");
    if (host.get_extension != NULL && host.get_extension(given, "l2o.host.telepathy/1") != NULL)
        return fail(call, L2O_STATUS_INTERNAL, "a host that answers what it cannot know");
    return L2O_STATUS_OK;
}

static const l2o_component* component(
    const char* kind, const char* id, const char* key, const char* def, const void* api) {
    static const char* const none[] = {NULL};
    static const char* const learned[] = {"learned", "differentiable", NULL};
    const l2o_option option = {.type = L2O_OPTION_REAL,
                               .flags = L2O_OPTION_OPEN_MIN,
                               .key = key,
                               .doc = "a number",
                               .def = def,
                               .min = 0,
                               .max = 100};
    const l2o_option** options = (const l2o_option**)kept(sizeof *options);
    l2o_component table = {
        .n_options = 1, .kind = kind, .id = id, .title = id, .doc = "For tests.", .tags = none, .needs = ""};
    if (strcmp(id, "slope") == 0) table.tags = learned;
    options[0] = GIVE(l2o_option, option, offsetof(l2o_option, choices));
    table.options = options;
    table.api = api;
    return GIVE(l2o_component, table, COMPONENT_SIZE);
}

static const l2o_plugin* tables(void) {
    static const l2o_component* components[4];
    const uint64_t flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT;
    const size_t spec_size = offsetof(l2o_spec, lower);

    const l2o_spec x = {.dtype = L2O_DTYPE_F64,
                        .flags = L2O_SPEC_BATCHED | L2O_SPEC_BOUNDED,
                        .name = "x",
                        .doc = "",
                        .shape = shape,
                        .ndim = 1,
                        .lower = -9,
                        .upper = 9};
    const l2o_spec b = {
        .dtype = L2O_DTYPE_F64, .flags = L2O_SPEC_BATCHED, .name = "b", .doc = "", .shape = shape, .ndim = 1};
    const l2o_spec f_star = {.dtype = L2O_DTYPE_F64,
                             .flags = L2O_SPEC_BATCHED | L2O_SPEC_SOLUTION | L2O_SPEC_OPTIMUM,
                             .name = "f_star",
                             .doc = ""};
    const l2o_spec distance = {
        .dtype = L2O_DTYPE_F64, .flags = L2O_SPEC_BATCHED, .name = "distance", .doc = "to b"};
    const l2o_spec log_rate = {.dtype = L2O_DTYPE_F64, .name = "log_rate", .doc = ""};
    const l2o_spec scale = {.dtype = L2O_DTYPE_F64, .flags = L2O_SPEC_BATCHED, .name = "scale", .doc = ""};

    const l2o_optimizee_info of_bowl = {
        .n_blocks = 1,
        .n_data = 2,
        .n_metrics = 1,
        .flags = flags,
        .answers = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT | L2O_ORACLE_HVP | L2O_ORACLE_PROX};
    const l2o_optimizer_info of_slope = {
        .n_params = 1, .flags = flags | L2O_OPTIMIZER_KEEPS_BOUNDS, .reads = L2O_ORACLE_GRADIENT};
    const l2o_optimizer_info of_trial = {
        .n_state = 1,
        .flags = flags | L2O_OPTIMIZER_ENDS_ROWS | L2O_OPTIMIZER_KEEPS_BOUNDS,
        .reads = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT,
        .max_questions = 1,
        .question_kinds = L2O_ORACLE_VALUE};
    const l2o_loss_info of_last = {.reads = L2O_LOSS_READS_F, .flags = flags};
    const l2o_optimizer_vjp vjp = {.step_vjp = slope_vjp};

    const l2o_optimizee_api bowl = {.create = bowl_create,
                                    .destroy = bowl_destroy,
                                    .info = bowl_info,
                                    .block_spec = bowl_block,
                                    .data_spec = bowl_data,
                                    .metric_spec = bowl_metric,
                                    .sample = bowl_sample,
                                    .init_point = bowl_start,
                                    .eval = bowl_eval,
                                    .hvp = bowl_hvp,
                                    .prox = bowl_prox,
                                    .metrics = bowl_metrics,
                                    .get_extension = bowl_extension};
    const l2o_optimizer_api slope = {.create = optimizer_create,
                                     .destroy = optimizer_destroy,
                                     .info = slope_info,
                                     .param_spec = slope_param,
                                     .state_spec = no_spec,
                                     .init_params = slope_params,
                                     .init_state = slope_state,
                                     .step = slope_step,
                                     .get_extension = slope_extension};
    const l2o_optimizer_api trial = {.create = optimizer_create,
                                     .destroy = optimizer_destroy,
                                     .info = trial_info,
                                     .param_spec = no_spec,
                                     .state_spec = trial_state_spec,
                                     .init_params = trial_params,
                                     .init_state = trial_state,
                                     .step = trial_step,
                                     .get_extension = trial_extension};
    const l2o_loss_api last = {.create = last_create,
                               .destroy = last_destroy,
                               .info = last_info,
                               .eval = last_eval,
                               .vjp = last_vjp,
                               .get_extension = last_extension};
    const l2o_plugin plugin = {.magic = L2O_MAGIC,
                               .built_major = L2O_ABI_MAJOR,
                               .built_minor = L2O_ABI_MINOR,
                               .n_components = 4,
                               .id = "of_history",
                               .version = "1.0.0",
                               .license = "MIT",
                               .vendor = "tests",
                               .runtime = "",
                               .components = components,
                               .init = init};

    x_given = GIVE(l2o_spec, x, BOUNDED_SPEC_SIZE);
    data_given[B] = GIVE(l2o_spec, b, spec_size);
    data_given[F_STAR] = GIVE(l2o_spec, f_star, spec_size);
    distance_given = GIVE(l2o_spec, distance, spec_size);
    log_rate_given = GIVE(l2o_spec, log_rate, spec_size);
    scale_given = GIVE(l2o_spec, scale, spec_size);
    bowl_info_given = GIVE(l2o_optimizee_info, of_bowl, offsetof(l2o_optimizee_info, cost_value));
    slope_info_given = GIVE(l2o_optimizer_info, of_slope, offsetof(l2o_optimizer_info, max_steps));
    trial_info_given = GIVE(l2o_optimizer_info, of_trial, offsetof(l2o_optimizer_info, max_steps));
    last_info_given = GIVE(l2o_loss_info, of_last, offsetof(l2o_loss_info, flags));
    slope_vjp_given = GIVE(l2o_optimizer_vjp, vjp, offsetof(l2o_optimizer_vjp, init_state_vjp));
    components[0] = component(
        L2O_KIND_OPTIMIZEE, "bowl", "curvature", "2", GIVE(l2o_optimizee_api, bowl, OPTIMIZEE_API_SIZE));
    components[1] = component(
        L2O_KIND_OPTIMIZER, "slope", "rate", "0.25", GIVE(l2o_optimizer_api, slope, OPTIMIZER_API_SIZE));
    components[2] = component(
        L2O_KIND_OPTIMIZER, "trial", "rate", "3", GIVE(l2o_optimizer_api, trial, OPTIMIZER_API_SIZE));
    components[3] = component(L2O_KIND_LOSS, "last", "times", "1", GIVE(l2o_loss_api, last, LOSS_API_SIZE));
    return GIVE(l2o_plugin, plugin, offsetof(l2o_plugin, init));
}

const l2o_plugin* L2O_ENTRY(void) {
    static const l2o_plugin* given;
    if (given == NULL) given = tables();
    return given;
}
