/* The tables of a meta-loss in C99: say what it reads, and fill in eval and vjp of l2o_loss_api.
 *
 *   static l2o_status eval(const l2o_loss* self, l2o_call*, const l2o_trajectory*, l2o_tensor* per_row);
 *   L2O_C_LOSS(.about = {.id = "org.example.mine", ...},
 *              .info = {.reads = L2O_LOSS_READS_F, .flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT},
 *              .api = {.eval = eval}) */
#ifndef L2O_C_LOSS_H
#define L2O_C_LOSS_H

#include <l2o/abi/loss.h>
#include <l2o/c/problem.h>

/* Point j of a trajectory is row j of its f, x and g (l2o_c_get(in->f, j, b) of row b, without a population).
 */
typedef struct l2o_c_loss {
    l2o_c_about about;
    l2o_loss_info info; /* reads and flags */
    l2o_loss_api api;   /* eval; vjp (NULL: no derivative) */
    /* [any] At the end of create, with the options in self->option: refuses, with l2o_c_fail(), a problem or
     * options that the loss is not made for. NULL: accepts all. The problem is gone after it. */
    l2o_status (*accept)(const l2o_loss* self, l2o_call* call, const l2o_problem* problem);
} l2o_c_loss;

struct l2o_loss {
    l2o_value option[L2O_C_MAX_OPTIONS]; /* in the order of about.options */
    l2o_loss_info info;
    uint32_t n_blocks;
};

/* ---- what L2O_C_LOSS puts into the tables */

static inline void L2O_CALL l2o_c_loss_destroy(l2o_loss* self) L2O_NOEXCEPT {
    l2o_c_drop_values(self->option);
    free(self);
}
static inline const l2o_loss_info* L2O_CALL l2o_c_loss_info_of(const l2o_loss* self) L2O_NOEXCEPT {
    return &self->info;
}
static inline const void* L2O_CALL l2o_c_loss_extension(const l2o_loss* self, const char* id) L2O_NOEXCEPT {
    (void)self, (void)id;
    return NULL;
}

static inline l2o_status l2o_c_create_loss(const l2o_c_loss* loss,
                                           l2o_call* call,
                                           const l2o_value* const* values,
                                           uint32_t n,
                                           const l2o_problem* problem,
                                           l2o_loss** out) {
    l2o_loss* self = (l2o_loss*)calloc(1, sizeof *self);
    l2o_c_problem own;
    l2o_status status = L2O_STATUS_OK;
    if (self == NULL) return l2o_c_fail(call, L2O_STATUS_NOMEM, "out of memory");
    self->info = loss->info;
    self->info.struct_size = sizeof self->info;
    status = l2o_c_take_problem(call, problem, &own);
    self->n_blocks = own.abi.n_blocks;
    if (status == L2O_STATUS_OK) status = l2o_c_keep_values(&loss->about, call, values, n, self->option);
    if (status == L2O_STATUS_OK && loss->accept != NULL) status = loss->accept(self, call, &own.abi);
    l2o_c_drop_problem(&own);
    if (status == L2O_STATUS_OK)
        *out = self;
    else
        l2o_c_loss_destroy(self);
    return status;
}

/* Exports the entry of the library; the arguments initialise an l2o_c_loss. */
#define L2O_C_LOSS(...)                                                          \
    static const l2o_c_loss l2o_c_this = {__VA_ARGS__};                          \
    static l2o_status L2O_CALL l2o_c_create_this(l2o_call* call,                 \
                                                 const l2o_value* const* values, \
                                                 uint32_t n,                     \
                                                 const l2o_problem* problem,     \
                                                 l2o_loss** out) {               \
        return l2o_c_create_loss(&l2o_c_this, call, values, n, problem, out);    \
    }                                                                            \
    const l2o_plugin* L2O_CALL L2O_ENTRY(void) {                                 \
        static l2o_loss_api api;                                                 \
        api = l2o_c_this.api;                                                    \
        api.struct_size = sizeof api;                                            \
        api.create = l2o_c_create_this;                                          \
        api.destroy = l2o_c_loss_destroy;                                        \
        api.info = l2o_c_loss_info_of;                                           \
        if (api.get_extension == NULL) api.get_extension = l2o_c_loss_extension; \
        return l2o_c_plugin(&l2o_c_this.about, L2O_KIND_LOSS, &api);             \
    }

#endif
