/* The tables of an optimizee in C99: say what its tensors are, and fill in what of l2o_optimizee_api it has.
 *
 *   static l2o_status eval(const l2o_optimizee* self, l2o_call*, const l2o_points*, const l2o_eval_out*);
 *   L2O_C_OPTIMIZEE(.about = {.id = "org.example.mine", ...,
 *                             .options = {L2O_C_INT("n", "5", 1, INFINITY, 0, "dimension")}},
 *                   .info = {.flags = L2O_FLAG_DETERMINISTIC},
 *                   .blocks = {{.name = "x", .axes = "n"}},
 *                   .data = {{.name = "b", .axes = "n", .flags = L2O_SPEC_BATCHED}},
 *                   .api = {.sample = sample, .eval = eval}) */
#ifndef L2O_C_OPTIMIZEE_H
#define L2O_C_OPTIMIZEE_H

#include <l2o/abi/optimizee.h>
#include <l2o/c/component.h>

#define L2O_C_MAX_TENSORS 16
#define L2O_C_MAX_AXES 8

/* Of a tensor is written what is not 0: its axes are keys of integer options, which are its shape ("m,n"),
 * unless shape and ndim are given; dtype 0 is that of x. Blocks and metrics are batched, data are where they
 * say so. */
typedef struct l2o_c_optimizee {
    l2o_c_about about;
    l2o_optimizee_info info; /* flags, costs ...; answers 0: values and gradients; the rest is found here */
    l2o_spec blocks[L2O_C_MAX_TENSORS], data[L2O_C_MAX_TENSORS], metrics[L2O_C_MAX_TENSORS];
    l2o_optimizee_api api; /* sample, eval; init_point (NULL: 0), hvp, prox, metrics, solve */
    /* [any] At the end of create, with the options in self->option: refuses, with l2o_c_fail(), options that
     * do not fit each other. NULL: accepts all that the options say. */
    l2o_status (*accept)(const l2o_optimizee* self, l2o_call* call);
} l2o_c_optimizee;

typedef struct l2o_c_spec {
    l2o_spec spec;
    int64_t shape[L2O_C_MAX_AXES];
} l2o_c_spec;

struct l2o_optimizee {
    const l2o_c_optimizee* problem;
    l2o_value option[L2O_C_MAX_OPTIONS]; /* in the order of about.options */
    l2o_optimizee_info info;
    l2o_c_spec blocks[L2O_C_MAX_TENSORS], data[L2O_C_MAX_TENSORS], metrics[L2O_C_MAX_TENSORS];
};

/* Tells the draws of tensor i of a split from those of all other tensors and splits, and from those of start
 * points, whose purpose is the number of the block; see l2o/c/philox.h. */
static inline uint32_t l2o_c_purpose(int32_t split, uint32_t i) { return ((uint32_t)split + 1) << 16 | i; }

/* The gradient by a block, or NULL: not wanted. */
static inline l2o_tensor* l2o_c_gradient(const l2o_eval_out* out, uint32_t block) {
    return out->g == NULL ? NULL : out->g[block];
}

/* ---- what L2O_C_OPTIMIZEE puts into the tables */

static inline void L2O_CALL l2o_c_optimizee_destroy(l2o_optimizee* self) L2O_NOEXCEPT {
    l2o_c_drop_values(self->option);
    free(self);
}
static inline const l2o_optimizee_info* L2O_CALL l2o_c_optimizee_info_of(const l2o_optimizee* self)
    L2O_NOEXCEPT {
    return &self->info;
}
static inline const l2o_spec* L2O_CALL l2o_c_block_spec(const l2o_optimizee* self, uint32_t i) L2O_NOEXCEPT {
    return i < self->info.n_blocks ? &self->blocks[i].spec : NULL;
}
static inline const l2o_spec* L2O_CALL l2o_c_data_spec(const l2o_optimizee* self, uint32_t i) L2O_NOEXCEPT {
    return i < self->info.n_data ? &self->data[i].spec : NULL;
}
static inline const l2o_spec* L2O_CALL l2o_c_metric_spec(const l2o_optimizee* self, uint32_t i) L2O_NOEXCEPT {
    return i < self->info.n_metrics ? &self->metrics[i].spec : NULL;
}
static inline l2o_status L2O_CALL l2o_c_start_at_zero(
    const l2o_optimizee* self, l2o_call* call, uint32_t batch, l2o_in data, l2o_out x) L2O_NOEXCEPT {
    (void)call, (void)batch, (void)data;
    for (uint32_t k = 0; k < self->info.n_blocks; ++k) l2o_c_zero(x[k]);
    return L2O_STATUS_OK;
}
static inline const void* L2O_CALL l2o_c_optimizee_extension(const l2o_optimizee* self,
                                                             const char* id) L2O_NOEXCEPT {
    (void)self, (void)id;
    return NULL;
}

static inline l2o_status l2o_c_shape_by_axes(const l2o_optimizee* self, l2o_call* call, l2o_c_spec* made) {
    const l2o_c_about* about = &self->problem->about;
    size_t length = 0;
    for (const char* axis = made->spec.axes; axis != NULL && *axis != '\0';
         axis += length + (axis[length] == ',')) {
        uint32_t i = 0;
        length = strcspn(axis, ",");
        while (i < L2O_C_MAX_OPTIONS && about->options[i] != NULL &&
               (about->options[i]->type != L2O_OPTION_INT || strlen(about->options[i]->key) != length ||
                strncmp(about->options[i]->key, axis, length) != 0))
            ++i;
        if (i == L2O_C_MAX_OPTIONS || about->options[i] == NULL || made->spec.ndim == L2O_C_MAX_AXES)
            return l2o_c_fail(
                call,
                L2O_STATUS_INTERNAL,
                "axis '%.*s' of tensor '%s' is no integer option of the problem, or one too many",
                (int)length,
                axis,
                made->spec.name);
        made->shape[made->spec.ndim++] = self->option[i].i;
    }
    made->spec.shape = made->shape;
    return L2O_STATUS_OK;
}

/* Completes the specs that were declared, up to the first without a name; *n is their number. */
static inline l2o_status l2o_c_make_specs(const l2o_optimizee* self,
                                          l2o_call* call,
                                          const l2o_spec* declared,
                                          uint64_t flags,
                                          uint32_t dtype,
                                          l2o_c_spec* made,
                                          uint32_t* n) {
    static const int64_t ratio[] = {2};
    l2o_status status = L2O_STATUS_OK;
    for (*n = 0; *n < L2O_C_MAX_TENSORS && declared[*n].name != NULL && status == L2O_STATUS_OK; ++*n) {
        l2o_spec* spec = &made[*n].spec;
        *spec = declared[*n];
        spec->struct_size = sizeof *spec;
        spec->flags |= flags;
        if (spec->dtype == 0) spec->dtype = dtype;
        if (spec->doc == NULL) spec->doc = "";
        if ((spec->flags & L2O_SPEC_RATIO) != 0) {
            spec->shape = ratio;
            spec->ndim = 1;
        }
        if (spec->shape == NULL) status = l2o_c_shape_by_axes(self, call, &made[*n]);
    }
    return status;
}

static inline l2o_status l2o_c_fill_optimizee(l2o_optimizee* self,
                                              l2o_call* call,
                                              const l2o_value* const* values,
                                              uint32_t n,
                                              const l2o_optimizee_setting* setting) {
    const l2o_c_optimizee* problem = self->problem;
    l2o_optimizee_info* info = &self->info;
    l2o_status status = l2o_c_keep_values(&problem->about, call, values, n, self->option);
    *info = problem->info;
    info->struct_size = sizeof *info;
    if (info->answers == 0) info->answers = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;
    if (problem->api.hvp != NULL) info->answers |= L2O_ORACLE_HVP;
    if (problem->api.prox != NULL) info->answers |= L2O_ORACLE_PROX;
    if (setting->dtype != L2O_DTYPE_F32 && setting->dtype != L2O_DTYPE_F64)
        status = l2o_c_fail(
            call, L2O_STATUS_UNSUPPORTED, "%s computes in float32 or float64 only", problem->about.id);
    if (status == L2O_STATUS_OK)
        status = l2o_c_make_specs(
            self, call, problem->blocks, L2O_SPEC_BATCHED, setting->dtype, self->blocks, &info->n_blocks);
    if (status == L2O_STATUS_OK)
        status = l2o_c_make_specs(self, call, problem->data, 0, setting->dtype, self->data, &info->n_data);
    if (status == L2O_STATUS_OK)
        status = l2o_c_make_specs(
            self, call, problem->metrics, L2O_SPEC_BATCHED, setting->dtype, self->metrics, &info->n_metrics);
    if (status == L2O_STATUS_OK && problem->accept != NULL) status = problem->accept(self, call);
    return status;
}

static inline l2o_status l2o_c_create_optimizee(const l2o_c_optimizee* problem,
                                                l2o_call* call,
                                                const l2o_value* const* values,
                                                uint32_t n,
                                                const l2o_optimizee_setting* setting,
                                                l2o_optimizee** out) {
    l2o_optimizee* self = (l2o_optimizee*)calloc(1, sizeof *self);
    l2o_optimizee_setting own;
    l2o_status status = L2O_STATUS_OK;
    if (self == NULL) return l2o_c_fail(call, L2O_STATUS_NOMEM, "out of memory");
    self->problem = problem;
    l2o_c_normalise(setting, &own, sizeof own);
    status = l2o_c_fill_optimizee(self, call, values, n, &own);
    if (status == L2O_STATUS_OK)
        *out = self;
    else
        l2o_c_optimizee_destroy(self);
    return status;
}

/* Exports the entry of the library; the arguments initialise an l2o_c_optimizee. */
#define L2O_C_OPTIMIZEE(...)                                                           \
    static const l2o_c_optimizee l2o_c_this = {__VA_ARGS__};                           \
    static l2o_status L2O_CALL l2o_c_create_this(l2o_call* call,                       \
                                                 const l2o_value* const* values,       \
                                                 uint32_t n,                           \
                                                 const l2o_optimizee_setting* setting, \
                                                 l2o_optimizee** out) {                \
        return l2o_c_create_optimizee(&l2o_c_this, call, values, n, setting, out);     \
    }                                                                                  \
    const l2o_plugin* L2O_CALL L2O_ENTRY(void) {                                       \
        static l2o_optimizee_api api;                                                  \
        api = l2o_c_this.api;                                                          \
        api.struct_size = sizeof api;                                                  \
        api.create = l2o_c_create_this;                                                \
        api.destroy = l2o_c_optimizee_destroy;                                         \
        api.info = l2o_c_optimizee_info_of;                                            \
        api.block_spec = l2o_c_block_spec;                                             \
        api.data_spec = l2o_c_data_spec;                                               \
        api.metric_spec = l2o_c_metric_spec;                                           \
        if (api.init_point == NULL) api.init_point = l2o_c_start_at_zero;              \
        if (api.get_extension == NULL) api.get_extension = l2o_c_optimizee_extension;  \
        return l2o_c_plugin(&l2o_c_this.about, L2O_KIND_OPTIMIZEE, &api);              \
    }

#endif
