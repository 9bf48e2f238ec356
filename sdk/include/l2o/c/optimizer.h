/* The tables of an optimizer in C99: a method with options, state tensors like its variable and no learned
 * parameters is one or two steps and an L2O_C_OPTIMIZER(...). Anything else fills l2o_optimizer_api itself.
 *
 *   static l2o_status step(const l2o_c_instance* self, l2o_call* call, const l2o_step_in* in, l2o_step_out*
 * out); static const l2o_option mu = L2O_C_REAL("mu", "0.9", 0, 1, L2O_OPTION_OPEN_MAX, "what is kept");
 *   L2O_C_OPTIMIZER(.id = "org.example.mine", ..., .options = {&mu}, .states = {"v"}, .step_f64 = step) */
#ifndef L2O_C_OPTIMIZER_H
#define L2O_C_OPTIMIZER_H

#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define L2O_C_MAX_OPTIONS 32
#define L2O_C_MAX_STATES 16

/* Initialisers of an l2o_option; default and bounds as in l2o/abi/option.h. */
#define L2O_C_REAL(key, def, min, max, flags, doc) \
    { sizeof(l2o_option), L2O_REAL, key, doc, def, min, max, NULL, flags, 0 }
#define L2O_C_INT(key, def, min, max, doc) \
    { sizeof(l2o_option), L2O_INT, key, doc, def, min, max, NULL, 0, 0 }
#define L2O_C_BOOL(key, def, doc) \
    { sizeof(l2o_option), L2O_BOOL, key, doc, def, 0, 1, NULL, 0, 0 }

struct l2o_c_instance;
typedef l2o_status l2o_c_step(const struct l2o_c_instance*, l2o_call*, const l2o_step_in*, l2o_step_out*);

typedef struct l2o_c_method {
    const char *id, *version, *title, *doc, *license, *vendor;
    const char* needs;                            /* data tensors by name, "A,b?"; NULL: none */
    const l2o_option* options[L2O_C_MAX_OPTIONS]; /* REAL, INT or BOOL */
    const char* states[L2O_C_MAX_STATES];         /* each is a tensor like x per block, zero at t = 0 */
    uint64_t flags;                  /* promises and needs: L2O_DETERMINISTIC | L2O_NEEDS_G ... */
    int minimax;                     /* 0: a block that is to be maximised is refused */
    l2o_c_step *step_f32, *step_f64; /* by element type; NULL: refused */
} l2o_c_method;

typedef struct l2o_c_instance {
    const l2o_c_method* method;
    l2o_value option[L2O_C_MAX_OPTIONS]; /* in schema order: .d of a REAL, .i of an INT or a BOOL */
    uint32_t n_blocks;
    l2o_optimizer_info info;
    l2o_spec* states; /* state s of block k is number s * n_blocks + k, see l2o_c_state() */
    l2o_c_step* step;
} l2o_c_instance;

/* Row `row` of a tensor [B, shape], and its number of elements. */
static inline void* l2o_c_row(const l2o_tensor* tensor, int64_t row) {
    return (char*)tensor->data + row * tensor->strides[0] * (tensor->bits / 8);
}
static inline int64_t l2o_c_row_size(const l2o_tensor* tensor) {
    int64_t n = 1;
    for (int32_t i = 1; i < tensor->ndim; ++i) n *= tensor->shape[i];
    return n;
}
/* Index of state s of block k in l2o_step_in.state and l2o_step_out.state. */
static inline uint32_t l2o_c_state(const l2o_c_instance* self, uint32_t s, uint32_t k) {
    return s * self->n_blocks + k;
}
/* Ends a call with a text for the user. */
static inline l2o_status l2o_c_fail(l2o_call* call, l2o_status status, const char* text) {
    if (call->err != NULL && call->err_cap > 0) {
        call->err[0] = '\0';
        strncat(call->err, text, call->err_cap - 1);
    }
    return status;
}

/* ---- what L2O_C_OPTIMIZER puts into the tables */

static inline void L2O_CALL l2o_c_destroy(l2o_optimizer* o) L2O_NOEXCEPT {
    l2o_c_instance* self = (l2o_c_instance*)o;
    for (uint32_t i = 0; self->states != NULL && i < self->info.n_state; ++i) {
        free((void*)self->states[i].name);
        free((void*)self->states[i].shape);
    }
    free(self->states);
    free(self);
}
static inline const l2o_optimizer_info* L2O_CALL l2o_c_info(const l2o_optimizer* o) L2O_NOEXCEPT {
    return &((const l2o_c_instance*)o)->info;
}
static inline const l2o_spec* L2O_CALL l2o_c_no_spec(const l2o_optimizer* o, uint32_t i) L2O_NOEXCEPT {
    (void)o, (void)i;
    return NULL;
}
static inline const l2o_spec* L2O_CALL l2o_c_state_spec(const l2o_optimizer* o, uint32_t i) L2O_NOEXCEPT {
    const l2o_c_instance* self = (const l2o_c_instance*)o;
    return i < self->info.n_state ? &self->states[i] : NULL;
}
static inline l2o_status L2O_CALL l2o_c_init_params(const l2o_optimizer* o,
                                                    l2o_call* call,
                                                    l2o_in data,
                                                    l2o_out params) L2O_NOEXCEPT {
    (void)o, (void)call, (void)data, (void)params;
    return L2O_OK;
}
static inline l2o_status L2O_CALL l2o_c_init_state(const l2o_optimizer* o,
                                                   l2o_call* call,
                                                   const l2o_step_in* in,
                                                   l2o_out state) L2O_NOEXCEPT {
    (void)call;
    for (uint32_t i = 0; i < ((const l2o_c_instance*)o)->info.n_state; ++i) {
        const size_t bytes = (size_t)l2o_c_row_size(state[i]) * (state[i]->bits / 8U);
        for (uint32_t row = 0; row < in->batch; ++row) memset(l2o_c_row(state[i], row), 0, bytes);
    }
    return L2O_OK;
}
static inline l2o_status L2O_CALL l2o_c_call_step(const l2o_optimizer* o,
                                                  l2o_call* call,
                                                  const l2o_step_in* in,
                                                  l2o_step_out* out) L2O_NOEXCEPT {
    const l2o_c_instance* self = (const l2o_c_instance*)o;
    out->n_questions = 0;
    out->question_kinds = 0;
    return self->step(self, call, in, out);
}
static inline const void* L2O_CALL l2o_c_no_extension(const l2o_optimizer* o, const char* id) L2O_NOEXCEPT {
    (void)o, (void)id;
    return NULL;
}

/* A spec of its own: that of the problem dies with create. 0: out of memory. */
static inline int l2o_c_copy_block(l2o_spec* to,
                                   const char* state,
                                   const l2o_spec* block,
                                   uint32_t n_blocks) {
    const size_t bytes = (size_t)block->ndim * sizeof(int64_t);
    char* name = (char*)malloc(strlen(state) + strlen(block->name) + 2);
    int64_t* shape = (int64_t*)malloc(bytes + 1);
    to->struct_size = sizeof *to;
    to->name = name;
    to->doc = "";
    to->shape = shape;
    to->dtype = block->dtype;
    to->ndim = block->ndim;
    to->batched = 1;
    if (name == NULL || shape == NULL) return 0;
    strcpy(name, state);
    if (n_blocks > 1) strcat(strcat(name, "."), block->name);
    if (bytes > 0) memcpy(shape, block->shape, bytes);
    return 1;
}

static inline l2o_status l2o_c_create(const l2o_c_method* method,
                                      l2o_call* call,
                                      const l2o_value* const* values,
                                      uint32_t n,
                                      const l2o_problem* problem,
                                      l2o_optimizer** out) {
    l2o_c_instance* self = NULL;
    uint32_t n_states = 0, n_options = 0;
    while (n_states < L2O_C_MAX_STATES && method->states[n_states] != NULL) ++n_states;
    while (n_options < L2O_C_MAX_OPTIONS && method->options[n_options] != NULL) ++n_options;
    if (n != n_options) return l2o_c_fail(call, L2O_INVALID, "the host passed values for another schema");
    for (uint32_t k = 0; k < problem->n_blocks && !method->minimax; ++k)
        if (problem->blocks[k]->role == L2O_MAX)
            return l2o_c_fail(
                call, L2O_UNSUPPORTED, "a block is to be maximised, and this method only minimises");

    self = (l2o_c_instance*)calloc(1, sizeof *self);
    if (self == NULL) return l2o_c_fail(call, L2O_NOMEM, "out of memory");
    self->method = method;
    self->n_blocks = problem->n_blocks;
    self->info.struct_size = sizeof self->info;
    self->info.flags = method->flags;
    self->info.n_state = n_states * problem->n_blocks;
    self->step = problem->dtype == L2O_F32   ? method->step_f32
                 : problem->dtype == L2O_F64 ? method->step_f64
                                             : NULL;
    if (self->step == NULL) {
        l2o_c_destroy((l2o_optimizer*)self);
        return l2o_c_fail(call, L2O_UNSUPPORTED, "this method does not compute in this element type");
    }
    for (uint32_t i = 0; i < n; ++i) {
        self->option[i].struct_size = sizeof self->option[i];
        self->option[i].type = values[i]->type;
        self->option[i].i = values[i]->i;
        self->option[i].d = values[i]->d;
    }
    self->states = (l2o_spec*)calloc(self->info.n_state + 1U, sizeof *self->states);
    for (uint32_t i = 0; i < self->info.n_state; ++i) {
        const uint32_t s = i / problem->n_blocks, k = i % problem->n_blocks;
        if (self->states != NULL &&
            l2o_c_copy_block(&self->states[i], method->states[s], problem->blocks[k], problem->n_blocks))
            continue;
        l2o_c_destroy((l2o_optimizer*)self);
        return l2o_c_fail(call, L2O_NOMEM, "out of memory");
    }
    *out = (l2o_optimizer*)self;
    return L2O_OK;
}

/* Fills the tables, always with the same: the entry may be called again. */
static inline const l2o_plugin* l2o_c_plugin(const l2o_c_method* method,
                                             L2O_FN(l2o_status,
                                                    create,
                                                    l2o_call*,
                                                    const l2o_value* const*,
                                                    uint32_t,
                                                    const l2o_problem*,
                                                    l2o_optimizer**)) {
    static l2o_optimizer_api api;
    static const char* no_tags[] = {NULL};
    static l2o_component component;
    static const l2o_component* components[] = {&component};
    static l2o_plugin plugin;
    api.struct_size = sizeof api;
    api.create = create;
    api.destroy = l2o_c_destroy;
    api.info = l2o_c_info;
    api.param_spec = l2o_c_no_spec;
    api.state_spec = l2o_c_state_spec;
    api.init_params = l2o_c_init_params;
    api.init_state = l2o_c_init_state;
    api.step = l2o_c_call_step;
    api.get_extension = l2o_c_no_extension;
    component.struct_size = sizeof component;
    component.n_options = 0;
    while (component.n_options < L2O_C_MAX_OPTIONS && method->options[component.n_options] != NULL)
        ++component.n_options;
    component.kind = L2O_KIND_OPTIMIZER;
    component.id = method->id;
    component.title = method->title;
    component.doc = method->doc;
    component.options = method->options;
    component.tags = no_tags;
    component.needs = method->needs == NULL ? "" : method->needs;
    component.api = &api;
    plugin.magic = L2O_MAGIC;
    plugin.struct_size = sizeof plugin;
    plugin.built_major = L2O_ABI_MAJOR;
    plugin.built_minor = L2O_ABI_MINOR;
    plugin.n_components = 1;
    plugin.id = method->id;
    plugin.version = method->version;
    plugin.license = method->license;
    plugin.vendor = method->vendor;
    plugin.runtime = "";
    plugin.components = components;
    return &plugin;
}

/* Exports the entry of the library; the arguments initialise an l2o_c_method. */
#define L2O_C_OPTIMIZER(...)                                                     \
    static const l2o_c_method l2o_c_this = {__VA_ARGS__};                        \
    static l2o_status L2O_CALL l2o_c_create_this(l2o_call* call,                 \
                                                 const l2o_value* const* values, \
                                                 uint32_t n,                     \
                                                 const l2o_problem* problem,     \
                                                 l2o_optimizer** out) {          \
        return l2o_c_create(&l2o_c_this, call, values, n, problem, out);         \
    }                                                                            \
    const l2o_plugin* l2o_plugin_entry_v1(void) { return l2o_c_plugin(&l2o_c_this, l2o_c_create_this); }

#endif
