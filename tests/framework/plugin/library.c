/* Small plugin libraries, sound and broken, in C; VARIANT_... picks one. */
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BUILT_MAJOR
#define BUILT_MAJOR L2O_ABI_MAJOR
#endif
#ifndef REQUIRED_MINOR
#define REQUIRED_MINOR 0
#endif
#ifndef LICENSE
#define LICENSE "MIT"
#endif
#ifndef VENDOR
#define VENDOR "tests"
#endif
#ifndef MAGIC
#define MAGIC L2O_MAGIC
#endif

#ifdef AT_ONCE
/* What it does while it is loaded. */
static inline void hang(void) {
    for (;;) pause();
}
static inline void leave(void) { _Exit(0); }
__attribute__((constructor)) static void at_once(void) { AT_ONCE(); }
#endif

static int instance; /* an instance without anything in it */

/* ---- a loss that scores nothing */

static l2o_status loss_create(
    l2o_call* call, const l2o_value* const* options, uint32_t n, const l2o_problem* problem, l2o_loss** out) {
    (void)call, (void)options, (void)n, (void)problem;
    *out = (l2o_loss*)&instance;
    return L2O_STATUS_OK;
}
static void loss_destroy(l2o_loss* o) { (void)o; }
static const l2o_loss_info* loss_info(const l2o_loss* o) {
    static const l2o_loss_info info = {sizeof(l2o_loss_info), L2O_LOSS_READS_F, L2O_LOSS_ADDITIVE};
    (void)o;
    return &info;
}
static l2o_status loss_eval(const l2o_loss* o,
                            l2o_call* call,
                            const l2o_trajectory* points,
                            l2o_tensor* per_row) {
    (void)o, (void)call;
    memset(per_row->data, 0, points->batch * L2O_DTYPE_BYTES(per_row->dtype));
    return L2O_STATUS_OK;
}
static const void* loss_extension(const l2o_loss* o, const char* id) {
    (void)o, (void)id;
    return NULL;
}
static const l2o_loss_api loss_api = {
    sizeof(l2o_loss_api), 0, loss_create, loss_destroy, loss_info, loss_eval, NULL, loss_extension};

static const l2o_component loss = {sizeof(l2o_component),
                                   0,
                                   L2O_KIND_LOSS,
                                   "c_loss",
                                   "A loss in C",
                                   "For tests.",
                                   NULL,
                                   NULL,
                                   "",
                                   &loss_api};

/* ---- an optimizer that stays where it is */

static l2o_status optimizer_create(l2o_call* call,
                                   const l2o_value* const* options,
                                   uint32_t n,
                                   const l2o_problem* problem,
                                   l2o_optimizer** out) {
    (void)call, (void)options, (void)n, (void)problem;
    *out = (l2o_optimizer*)&instance;
    return L2O_STATUS_OK;
}
static void optimizer_destroy(l2o_optimizer* o) { (void)o; }
static const l2o_optimizer_info* optimizer_info(const l2o_optimizer* o) {
    static const l2o_optimizer_info info = {.struct_size = sizeof(l2o_optimizer_info),
                                            .flags = L2O_FLAG_DETERMINISTIC};
    (void)o;
    return &info;
}
static const l2o_spec* optimizer_spec(const l2o_optimizer* o, uint32_t i) {
    (void)o, (void)i;
    return NULL;
}
static l2o_status optimizer_init_params(const l2o_optimizer* o, l2o_call* call, l2o_in data, l2o_out params) {
    (void)o, (void)call, (void)data, (void)params;
    return L2O_STATUS_OK;
}
static l2o_status optimizer_init_state(const l2o_optimizer* o,
                                       l2o_call* call,
                                       const l2o_step_in* in,
                                       l2o_out state) {
    (void)o, (void)call, (void)in, (void)state;
    return L2O_STATUS_OK;
}
static l2o_status optimizer_step(const l2o_optimizer* o,
                                 l2o_call* call,
                                 const l2o_step_in* in,
                                 l2o_step_out* out) {
    (void)o, (void)call, (void)in;
    out->n_questions = 0;
    return L2O_STATUS_OK;
}
static const void* optimizer_extension(const l2o_optimizer* o, const char* id) {
    (void)o, (void)id;
    return NULL;
}
static const l2o_optimizer_api optimizer_api = {sizeof(l2o_optimizer_api),
                                                0,
                                                optimizer_create,
                                                optimizer_destroy,
                                                optimizer_info,
                                                optimizer_spec,
                                                optimizer_spec,
                                                optimizer_init_params,
                                                optimizer_init_state,
                                                optimizer_step,
                                                NULL,
                                                optimizer_extension};
static const l2o_component optimizer = {sizeof(l2o_component),
                                        0,
                                        L2O_KIND_OPTIMIZER,
                                        "c_optimizer",
                                        "An optimizer in C",
                                        "For tests.",
                                        NULL,
                                        NULL,
                                        "",
                                        &optimizer_api};

#ifndef N_COMPONENTS
#define N_COMPONENTS 2
#endif
static const l2o_component* const components[] = {&loss, &optimizer, &loss};

static const l2o_plugin plugin = {MAGIC,
                                  sizeof(l2o_plugin),
                                  BUILT_MAJOR,
                                  0,
                                  REQUIRED_MINOR,
                                  N_COMPONENTS,
                                  "c_library",
                                  "1.0.0",
                                  LICENSE,
                                  VENDOR,
                                  "",
                                  components,
                                  NULL};

#ifdef NO_ENTRY
L2O_EXPORT const l2o_plugin* something_else(void);
const l2o_plugin* something_else(void) { return &plugin; }
#else
const l2o_plugin* l2o_plugin_entry_v1rc1(void) { return &plugin; }
#endif
