/* The tables of an optimizer in C99: a method with options, state tensors like its variable and no learned
 * parameters is one or two steps and an L2O_C_OPTIMIZER(...). Anything else fills l2o_optimizer_api itself,
 * and takes what create is given with l2o_c_take_problem() and l2o_c_keep_values().
 *
 *   static l2o_status step(const l2o_optimizer* self, l2o_call*, const l2o_step_in*, l2o_step_out*);
 *   L2O_C_OPTIMIZER(.about = {.id = "org.example.mine", ...,
 *                             .options = {L2O_C_REAL("mu", "0.9", 0, 1, L2O_OPTION_OPEN_MAX, "memory")}},
 *                   .info = {.flags = L2O_FLAG_DETERMINISTIC, .reads = L2O_ORACLE_GRADIENT},
 *                   .states = {"v"},
 *                   .step_f64 = step) */
#ifndef L2O_C_OPTIMIZER_H
#define L2O_C_OPTIMIZER_H

#include <l2o/abi/optimizer.h>
#include <l2o/c/problem.h>

#define L2O_C_MAX_STATES 16

typedef l2o_status l2o_c_step(const l2o_optimizer*, l2o_call*, const l2o_step_in*, l2o_step_out*);

typedef struct l2o_c_optimizer {
    l2o_c_about about;
    l2o_optimizer_info info;              /* flags, reads, questions ...; n_params, n_state are found here */
    const char* states[L2O_C_MAX_STATES]; /* each is a tensor like x per block, zero at t = 0              */
    int minimax;                          /* 0: a block that is to be maximised is refused                 */
    l2o_c_step *step_f32, *step_f64;      /* by element type; NULL: refused                                */
    /* [any] At the end of create, with the options in self->option: refuses, with l2o_c_fail(), a problem or
     * options that the method is not made for. NULL: accepts all. The problem is gone after it. */
    l2o_status (*accept)(const l2o_optimizer* self, l2o_call* call, const l2o_problem* problem);
} l2o_c_optimizer;

struct l2o_optimizer {
    const l2o_c_optimizer* method;
    l2o_value option[L2O_C_MAX_OPTIONS]; /* in the order of about.options */
    l2o_optimizer_info info;
    uint32_t n_blocks;
    l2o_spec* states; /* see l2o_c_state() */
    l2o_c_step* step;
};

/* Index of state s of block k in l2o_step_in.state and l2o_step_out.state. */
static inline uint32_t l2o_c_state(const l2o_optimizer* self, uint32_t s, uint32_t k) {
    return s * self->n_blocks + k;
}

/* ---- what L2O_C_OPTIMIZER puts into the tables */

static inline void L2O_CALL l2o_c_optimizer_destroy(l2o_optimizer* self) L2O_NOEXCEPT {
    for (uint32_t i = 0; self->states != NULL && i < self->info.n_state; ++i) {
        free((void*)self->states[i].name);
        free((void*)self->states[i].shape);
    }
    free(self->states);
    l2o_c_drop_values(self->option);
    free(self);
}
static inline const l2o_optimizer_info* L2O_CALL l2o_c_optimizer_info_of(const l2o_optimizer* self)
    L2O_NOEXCEPT {
    return &self->info;
}
static inline const l2o_spec* L2O_CALL l2o_c_param_spec(const l2o_optimizer* self, uint32_t i) L2O_NOEXCEPT {
    (void)self, (void)i;
    return NULL;
}
static inline const l2o_spec* L2O_CALL l2o_c_state_spec(const l2o_optimizer* self, uint32_t i) L2O_NOEXCEPT {
    return i < self->info.n_state ? &self->states[i] : NULL;
}
static inline l2o_status L2O_CALL l2o_c_init_params(const l2o_optimizer* self,
                                                    l2o_call* call,
                                                    l2o_in data,
                                                    l2o_out params) L2O_NOEXCEPT {
    (void)self, (void)call, (void)data, (void)params;
    return L2O_STATUS_OK;
}
static inline l2o_status L2O_CALL l2o_c_init_state(const l2o_optimizer* self,
                                                   l2o_call* call,
                                                   const l2o_step_in* in,
                                                   l2o_out state) L2O_NOEXCEPT {
    (void)call, (void)in;
    for (uint32_t i = 0; i < self->info.n_state; ++i) l2o_c_zero(state[i]);
    return L2O_STATUS_OK;
}
static inline l2o_status L2O_CALL l2o_c_call_step(const l2o_optimizer* self,
                                                  l2o_call* call,
                                                  const l2o_step_in* in,
                                                  l2o_step_out* out) L2O_NOEXCEPT {
    return self->step(self, call, in, out);
}
static inline const void* L2O_CALL l2o_c_optimizer_extension(const l2o_optimizer* self,
                                                             const char* id) L2O_NOEXCEPT {
    (void)self, (void)id;
    return NULL;
}

/* The spec of state s of block k; name and shape are its own, as those of the problem die with create. */
static inline l2o_spec l2o_c_state_like(
    const l2o_c_optimizer* method, const l2o_problem* problem, uint32_t s, uint32_t k, int* failed) {
    const l2o_spec* block = problem->blocks[k];
    const char *dot = problem->n_blocks > 1 ? "." : "", *tail = problem->n_blocks > 1 ? block->name : "";
    const size_t room = strlen(method->states[s]) + strlen(dot) + strlen(tail) + 1;
    char* name = (char*)malloc(room);
    l2o_spec spec;
    memset(&spec, 0, sizeof spec);
    if (name == NULL)
        *failed = 1;
    else
        snprintf(name, room, "%s%s%s", method->states[s], dot, tail);
    spec.struct_size = sizeof spec;
    spec.dtype = block->dtype;
    spec.flags = L2O_SPEC_BATCHED | (method->info.particles > 0 ? L2O_SPEC_PER_PARTICLE : 0);
    spec.name = name;
    spec.doc = "";
    spec.shape = (const int64_t*)l2o_c_copy(block->shape, (size_t)block->ndim * sizeof(int64_t), failed);
    spec.ndim = block->ndim;
    spec.block = (int32_t)k + 1;
    return spec;
}

static inline l2o_status l2o_c_fill_optimizer(l2o_optimizer* self,
                                              l2o_call* call,
                                              const l2o_value* const* values,
                                              uint32_t n,
                                              const l2o_problem* problem) {
    const l2o_c_optimizer* method = self->method;
    l2o_status status = L2O_STATUS_OK;
    uint32_t n_states = 0;
    int failed = 0;
    while (n_states < L2O_C_MAX_STATES && method->states[n_states] != NULL) ++n_states;
    self->n_blocks = problem->n_blocks;
    self->info = method->info;
    self->info.struct_size = sizeof self->info;
    self->info.n_params = 0;
    self->info.n_state = n_states * problem->n_blocks;
    self->step = problem->dtype == L2O_DTYPE_F32   ? method->step_f32
                 : problem->dtype == L2O_DTYPE_F64 ? method->step_f64
                                                   : NULL;
    if (self->step == NULL)
        return l2o_c_fail(
            call, L2O_STATUS_UNSUPPORTED, "%s does not compute in this element type", method->about.id);
    for (uint32_t k = 0; k < problem->n_blocks && !method->minimax; ++k)
        if ((problem->blocks[k]->flags & L2O_SPEC_MAXIMISED) != 0)
            return l2o_c_fail(
                call,
                L2O_STATUS_UNSUPPORTED,
                "block '%s' is to be maximised, and this method only minimises; use one that is made "
                "for minimax problems, for example 'extragradient'",
                problem->blocks[k]->name);
    if ((method->info.question_kinds & ~problem->answers) != 0)
        return l2o_c_fail(
            call,
            L2O_STATUS_UNSUPPORTED,
            "this method asks for values or gradients at points of its own, and the problem does not "
            "answer such questions");
    self->states = (l2o_spec*)calloc(self->info.n_state + 1U, sizeof *self->states);
    for (uint32_t i = 0; self->states != NULL && i < self->info.n_state; ++i)
        self->states[i] =
            l2o_c_state_like(method, problem, i / problem->n_blocks, i % problem->n_blocks, &failed);
    if (self->states == NULL || failed) return l2o_c_fail(call, L2O_STATUS_NOMEM, "out of memory");
    status = l2o_c_keep_values(&method->about, call, values, n, self->option);
    if (status == L2O_STATUS_OK && method->accept != NULL) status = method->accept(self, call, problem);
    return status;
}

static inline l2o_status l2o_c_create_optimizer(const l2o_c_optimizer* method,
                                                l2o_call* call,
                                                const l2o_value* const* values,
                                                uint32_t n,
                                                const l2o_problem* problem,
                                                l2o_optimizer** out) {
    l2o_optimizer* self = (l2o_optimizer*)calloc(1, sizeof *self);
    l2o_c_problem own;
    l2o_status status = L2O_STATUS_OK;
    if (self == NULL) return l2o_c_fail(call, L2O_STATUS_NOMEM, "out of memory");
    self->method = method;
    status = l2o_c_take_problem(call, problem, &own);
    if (status == L2O_STATUS_OK) status = l2o_c_fill_optimizer(self, call, values, n, &own.abi);
    l2o_c_drop_problem(&own);
    if (status == L2O_STATUS_OK)
        *out = self;
    else
        l2o_c_optimizer_destroy(self);
    return status;
}

/* Exports the entry of the library; the arguments initialise an l2o_c_optimizer. */
#define L2O_C_OPTIMIZER(...)                                                       \
    static const l2o_c_optimizer l2o_c_this = {__VA_ARGS__};                       \
    static l2o_status L2O_CALL l2o_c_create_this(l2o_call* call,                   \
                                                 const l2o_value* const* values,   \
                                                 uint32_t n,                       \
                                                 const l2o_problem* problem,       \
                                                 l2o_optimizer** out) {            \
        return l2o_c_create_optimizer(&l2o_c_this, call, values, n, problem, out); \
    }                                                                              \
    const l2o_plugin* L2O_CALL L2O_ENTRY(void) {                                   \
        static const l2o_optimizer_api api = {sizeof api,                          \
                                              0,                                   \
                                              l2o_c_create_this,                   \
                                              l2o_c_optimizer_destroy,             \
                                              l2o_c_optimizer_info_of,             \
                                              l2o_c_param_spec,                    \
                                              l2o_c_state_spec,                    \
                                              l2o_c_init_params,                   \
                                              l2o_c_init_state,                    \
                                              l2o_c_call_step,                     \
                                              NULL,                                \
                                              l2o_c_optimizer_extension};          \
        return l2o_c_plugin(&l2o_c_this.about, L2O_KIND_OPTIMIZER, &api);          \
    }

#endif
