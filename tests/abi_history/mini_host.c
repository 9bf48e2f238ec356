/* A host that knows l2o by the headers it is built with alone. It solves instance 0 of an optimizee and
 * prints f of every point, what a loss makes of them, and the slope of the last step if the optimizer has
 * one:
 *
 *   mini_host STEPS OPTIMIZEE.so ID OPTIMIZER.so ID LOSS.so ID */
#include <dlfcn.h>
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>
#include <stdio.h>

#include "tables.h"

/* Where a struct ends that cannot do without its last fields. */
#ifndef SETTING_SIZE
#define SETTING_SIZE sizeof(l2o_optimizee_setting)
#endif
#ifndef BOUNDED_SPEC_SIZE
#define BOUNDED_SPEC_SIZE sizeof(l2o_spec)
#endif

enum { MOST = 16 };

#define NEED(claim, ...)                  \
    do {                                  \
        if (!(claim)) {                   \
            fprintf(stderr, __VA_ARGS__); \
            fprintf(stderr, "\n");        \
            exit(1);                      \
        }                                 \
    } while (0)

static void* memory(size_t bytes) { return memset(kept(bytes), 0, bytes); }

/* ---- calls */

static char text[256];
static const l2o_host* host;

static l2o_call* call(uint64_t key, uint64_t more, uint64_t scratch_bytes) {
    static l2o_call own;
    own.host = host;
    own.key[0] = key;
    own.key[1] = more;
    own.scratch = memory(scratch_bytes);
    own.scratch_bytes = scratch_bytes;
    own.err = text;
    own.err_cap = sizeof text;
    own.max_threads = 1;
    return &own;
}
static void check(l2o_status status, const char* what) {
    NEED(status == L2O_STATUS_OK, "%s: status %d, %s", what, (int)status, text);
}

/* ---- tensors and their descriptions */

typedef struct specs {
    uint32_t n;
    l2o_spec own[MOST];
    const l2o_spec* given[MOST]; /* as an optimizer and a loss are told them */
} specs;

static void add_spec(specs* to, const l2o_spec* given) {
    l2o_spec* own = &to->own[to->n];
    NEED(to->n < MOST && given != NULL, "more than %d specs, or a missing one", MOST);
    TAKE(*own, given);
    to->given[to->n++] = GIVE(
        l2o_spec, *own, (own->flags & L2O_SPEC_BOUNDED) != 0 ? BOUNDED_SPEC_SIZE : offsetof(l2o_spec, lower));
}

/* A tensor whose first axes are these; 0 ends them. */
static l2o_tensor* tensor(uint32_t dtype, const int64_t* first, int32_t ndim, const int64_t* shape) {
    l2o_tensor* own = (l2o_tensor*)memory(sizeof *own);
    int64_t size = 1;
    while (first[own->ndim] != 0) ++own->ndim;
    own->shape = (int64_t*)memory(((size_t)own->ndim + (size_t)ndim) * sizeof(int64_t));
    own->strides = (int64_t*)memory(((size_t)own->ndim + (size_t)ndim) * sizeof(int64_t));
    memcpy(own->shape, first, (size_t)own->ndim * sizeof *first);
    if (ndim > 0) memcpy(own->shape + own->ndim, shape, (size_t)ndim * sizeof *shape);
    own->ndim += ndim;
    for (int32_t i = own->ndim; i-- > 0; size *= own->shape[i]) own->strides[i] = size;
    own->device_type = 1;
    own->dtype = dtype;
    own->data = memory((size_t)size * (L2O_DTYPE_BYTES(dtype)));
    return own;
}
/* Row 0 of every tensor described, `questions` times if that is not 0. */
static l2o_tensor** tensors(const specs* of, int64_t questions) {
    l2o_tensor** own = (l2o_tensor**)memory(MOST * sizeof *own);
    for (uint32_t i = 0; i < of->n; ++i) {
        const int64_t batch = (of->own[i].flags & L2O_SPEC_BATCHED) != 0 ? 1 : 0;
        const int64_t first[] = {questions != 0 ? questions : batch, questions != 0 ? batch : 0, 0};
        own[i] = tensor(of->own[i].dtype, first, of->own[i].ndim, of->own[i].shape);
    }
    return own;
}
static int64_t size_of(const l2o_tensor* of) {
    int64_t size = 1;
    for (int32_t i = 0; i < of->ndim; ++i) size *= of->shape[i];
    return size;
}
#define IN(own) ((l2o_in)(own))

/* ---- libraries */

/* The table of a component, and the default values of its options. */
typedef struct loaded {
    const void* api;
    uint32_t n_values;
    const l2o_value* values[MOST];
} loaded;

static const l2o_value* value_of(const l2o_option* given) {
    l2o_option option;
    l2o_value value;
    TAKE(option, given);
    memset(&value, 0, sizeof value);
    value.type = option.type;
    NEED(option.type >= L2O_OPTION_BOOL && option.type <= L2O_OPTION_CHOICE && option.def != NULL,
         "option '%s' has type %d; expected a number or a choice, with a default",
         option.key,
         (int)option.type);
    value.s = option.def;
    value.d = strtod(option.def, NULL);
    value.i = strcmp(option.def, "true") == 0 ? 1 : strtol(option.def, NULL, 10);
    if (option.type == L2O_OPTION_CHOICE)
        for (value.i = 0; strcmp(option.choices[value.i], option.def) != 0;) ++value.i;
    return GIVE(l2o_value, value, offsetof(l2o_value, iv));
}

static loaded load(const char* path, const char* kind, const char* id) {
    union {
        void* object;
        const l2o_plugin* (*function)(void);
    } entry;
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    l2o_plugin plugin;
    NEED(library != NULL, "%s", dlerror());
    entry.object = dlsym(library, L2O_ENTRY_SYMBOL);
    NEED(entry.object != NULL, "%s: no %s", path, L2O_ENTRY_SYMBOL);
    NEED(entry.function()->magic == L2O_MAGIC, "%s: magic %x", path, (unsigned)entry.function()->magic);
    TAKE(plugin, entry.function());
    NEED(
        plugin.built_major == L2O_ABI_MAJOR && plugin.required_minor <= L2O_ABI_MINOR, "%s: other ABI", path);
    if (plugin.init != NULL) check(plugin.init(host, call(0, 0, 0)), path);
    for (uint32_t i = 0; i < plugin.n_components; ++i) {
        l2o_component component;
        loaded out;
        memset(&out, 0, sizeof out);
        TAKE(component, plugin.components[i]);
        if (strcmp(component.kind, kind) != 0 || strcmp(component.id, id) != 0) continue;
        NEED(component.needs == NULL || component.needs[0] == '\0', "%s needs %s", id, component.needs);
        NEED(component.n_options <= MOST, "%s has %u options", id, (unsigned)component.n_options);
        while (out.n_values < component.n_options) {
            out.values[out.n_values] = value_of(component.options[out.n_values]);
            ++out.n_values;
        }
        out.api = component.api;
        return out;
    }
    NEED(0, "%s: no %s '%s'", path, kind, id);
    exit(1);
}

/* ---- the problem */

static l2o_optimizee_api problem_api;
static l2o_optimizee_info problem_info;
static l2o_optimizee* problem;
static specs blocks, data_specs;
static l2o_tensor** data;

static void create_problem(const loaded* from) {
    const l2o_optimizee_setting setting = {.dtype = L2O_DTYPE_F64};
    TAKE(problem_api, (const l2o_optimizee_api*)from->api);
    check(problem_api.create(call(0, 0, 0),
                             from->values,
                             from->n_values,
                             GIVE(l2o_optimizee_setting, setting, SETTING_SIZE),
                             &problem),
          "optimizee: create");
    TAKE(problem_info, problem_api.info(problem));
    for (uint32_t i = 0; i < problem_info.n_blocks; ++i)
        add_spec(&blocks, problem_api.block_spec(problem, i));
    for (uint32_t i = 0; i < problem_info.n_data; ++i)
        add_spec(&data_specs, problem_api.data_spec(problem, i));
    data = tensors(&data_specs, 0);
    for (uint32_t i = 0; i < data_specs.n; ++i)
        if ((data_specs.own[i].flags & L2O_SPEC_BY_SOLVE) != 0) data[i] = NULL;
    check(problem_api.sample(problem, call(1, 1, 0), L2O_SPLIT_TRAIN, 0, 1, data), "sample");
}
static void evaluate(l2o_in x, l2o_tensor* f, l2o_out g) {
    const l2o_points points = {.batch = 1, .rows_per_instance = 1, .data = IN(data), .x = x};
    const l2o_eval_out out = {.f = f, .g = g};
    check(problem_api.eval(
              problem, call(0, 0, problem_info.scratch_fixed + problem_info.scratch_per_row), &points, &out),
          "eval");
}
static const l2o_problem* told(void) {
    const l2o_problem own = {.n_blocks = blocks.n,
                             .dtype = L2O_DTYPE_F64,
                             .blocks = blocks.given,
                             .answers = problem_info.answers,
                             .flags = problem_info.flags & L2O_FLAG_STOCHASTIC};
    return GIVE(l2o_problem, own, offsetof(l2o_problem, horizon));
}

/* ---- the steps */

static l2o_optimizer_api api;
static l2o_optimizer_info info;
static l2o_optimizer* optimizer;

/* Evaluates question k: its f and gradients go where the answers are. */
static void answer(l2o_tensor** q, l2o_tensor** qg, const l2o_tensor* qf, uint32_t k) {
    l2o_tensor at[MOST], slopes[MOST], f = *qf;
    const l2o_tensor* x[MOST];
    l2o_tensor* g[MOST];
    for (uint32_t i = 0; i < blocks.n; ++i) {
        at[i] = *q[i];
        slopes[i] = *qg[i];
        for (l2o_tensor* part = &at[i]; part != NULL; part = part == &at[i] ? &slopes[i] : NULL) {
            part->data = (double*)part->data + k * part->strides[0];
            part->ndim -= 1, part->shape += 1, part->strides += 1;
        }
        x[i] = &at[i];
        g[i] = &slopes[i];
    }
    f.data = (double*)f.data + k * f.strides[0];
    f.ndim -= 1, f.shape += 1, f.strides += 1;
    evaluate(x, &f, g);
}

/* From x to next; says what has become of the row. */
static int32_t step(l2o_step_in* in, l2o_tensor** next, l2o_tensor*** state, l2o_tensor*** spare) {
    const int64_t k[] = {info.max_questions, 1, 0};
    const int asks = info.max_questions > 0;
    l2o_tensor *x_is = tensor(L2O_DTYPE_I32, k + 1, 0, NULL),
               *row_status = tensor(L2O_DTYPE_I32, k + 1, 0, NULL);
    l2o_tensor** q = asks ? tensors(&blocks, k[0]) : NULL;
    l2o_tensor *qf = NULL, **qg = NULL;
    for (in->round = 0;; ++in->round) {
        l2o_step_out out = {.state = *spare, .x = next, .q = q, .x_is = x_is};
        *(int32_t*)x_is->data = L2O_X_IS_NEW;
        *(int32_t*)row_status->data = L2O_ROW_GOES_ON;
        if (asks) out.q_wanted = tensor(L2O_DTYPE_I32, k, 0, NULL);
        if ((info.flags & L2O_OPTIMIZER_ENDS_ROWS) != 0) out.row_status = row_status;
        check(api.step(optimizer, call(77, 7, info.scratch_fixed + info.scratch_per_row), in, &out), "step");
        l2o_tensor** kept = *state;
        *state = *spare;
        *spare = kept;
        if (out.n_questions == 0) break;
        NEED(out.n_questions <= info.max_questions, "step: %u questions", (unsigned)out.n_questions);
        qf = tensor(L2O_DTYPE_F64, k, 0, NULL);
        qg = tensors(&blocks, k[0]);
        for (uint32_t i = 0; i < out.n_questions; ++i) answer(q, qg, qf, i);
        in->state = IN(*state);
        in->n_answers = out.n_questions;
        in->q = IN(q);
        in->qg = IN(qg);
        in->qf = qf;
        q = tensors(&blocks, k[0]);
    }
    return *(int32_t*)row_status->data;
}

/* d (sum of x') / dx, summed. */
static void print_slope(const l2o_step_in* in) {
    const void* extension = api.get_extension(optimizer, L2O_EXT_OPTIMIZER_VJP);
    l2o_optimizer_vjp vjp;
    l2o_tensor *none[MOST] = {NULL}, **acc_x = tensors(&blocks, 0), **cot_x = tensors(&blocks, 0);
    const l2o_step_cot cot = {.state = IN(none), .x = IN(cot_x), .q = IN(none)};
    const l2o_step_acc acc = {.params = none, .state = none, .x = acc_x, .g = none, .q = none, .qg = none};
    double sum = 0;
    if (extension == NULL) return;
    TAKE(vjp, (const l2o_optimizer_vjp*)extension);
    for (uint32_t i = 0; i < blocks.n; ++i)
        for (int64_t j = 0; j < size_of(cot_x[i]); ++j) ((double*)cot_x[i]->data)[j] = 1;
    check(
        vjp.step_vjp(optimizer, call(77, 7, info.scratch_fixed + info.scratch_per_row), in, NULL, &cot, &acc),
        "step_vjp");
    if (vjp.init_state_vjp != NULL)
        check(vjp.init_state_vjp(optimizer, call(0, 0, info.scratch_fixed), in, IN(none), &acc),
              "init_state_vjp");
    for (uint32_t i = 0; i < blocks.n; ++i)
        for (int64_t j = 0; j < size_of(acc_x[i]); ++j) sum += ((double*)acc_x[i]->data)[j];
    printf("slope %.17g\n", sum);
}

static void print_loss(const loaded* from, const l2o_tensor* f) {
    const l2o_trajectory trajectory = {.batch = 1, .len = f->shape[0], .horizon = f->shape[0] - 1, .f = f};
    const int64_t first[] = {1, 0};
    l2o_tensor* per_row = tensor(L2O_DTYPE_F64, first, 0, NULL);
    l2o_loss_api loss_api;
    l2o_loss_info loss_info;
    l2o_loss* loss = NULL;
    TAKE(loss_api, (const l2o_loss_api*)from->api);
    check(loss_api.create(call(0, 0, 0), from->values, from->n_values, told(), &loss), "loss: create");
    TAKE(loss_info, loss_api.info(loss));
    NEED(loss_info.reads == L2O_LOSS_READS_F, "the loss reads %u; expected f", (unsigned)loss_info.reads);
    check(loss_api.eval(loss, call(0, 0, 0), &trajectory, per_row), "loss: eval");
    printf("loss %.17g\n", *(double*)per_row->data);
    loss_api.destroy(loss);
}

int main(int argc, char** argv) {
    static const l2o_host own = {
        .abi_major = L2O_ABI_MAJOR, .abi_minor = L2O_ABI_MINOR, .name = "mini", .version = "1"};
    NEED(argc == 8, "mini_host STEPS OPTIMIZEE.so ID OPTIMIZER.so ID LOSS.so ID");
    host = GIVE(l2o_host, own, offsetof(l2o_host, get_extension));
    const loaded of_problem = load(argv[2], L2O_KIND_OPTIMIZEE, argv[3]);
    const loaded of_optimizer = load(argv[4], L2O_KIND_OPTIMIZER, argv[5]);
    const loaded of_loss = load(argv[6], L2O_KIND_LOSS, argv[7]);
    create_problem(&of_problem);

    TAKE(api, (const l2o_optimizer_api*)of_optimizer.api);
    check(api.create(call(0, 0, 0), of_optimizer.values, of_optimizer.n_values, told(), &optimizer),
          "optimizer: create");
    TAKE(info, api.info(optimizer));
    NEED(info.particles == 0, "a population of %u", (unsigned)info.particles);
    specs params_specs = {0}, state_specs = {0};
    for (uint32_t i = 0; i < info.n_params; ++i) add_spec(&params_specs, api.param_spec(optimizer, i));
    for (uint32_t i = 0; i < info.n_state; ++i) add_spec(&state_specs, api.state_spec(optimizer, i));

    const int64_t steps = strtol(argv[1], NULL, 10), points[] = {steps + 1, 1, 0};
    l2o_tensor **x = tensors(&blocks, 0), **next = tensors(&blocks, 0), **g = tensors(&blocks, 0);
    l2o_tensor **state = tensors(&state_specs, 0), **spare = tensors(&state_specs, 0);
    l2o_tensor **params = tensors(&params_specs, 0), *all_f = tensor(L2O_DTYPE_F64, points, 0, NULL);
    l2o_tensor* f = tensor(L2O_DTYPE_F64, points + 1, 0, NULL);
    check(problem_api.init_point(problem, call(1, 2, 0), 1, IN(data), x), "init_point");
    check(api.init_params(optimizer, call(1, 3, info.scratch_fixed), NULL, params), "init_params");
    l2o_step_in in = {.batch = 1, .params = IN(params), .x = IN(x)};
    check(api.init_state(optimizer, call(77, 7, info.scratch_fixed + info.scratch_per_row), &in, state),
          "init_state");

    int32_t row_status = L2O_ROW_GOES_ON;
    for (int64_t t = 0; t <= steps; ++t) {
        evaluate(IN(x), f, g);
        ((double*)all_f->data)[t] = *(double*)f->data;
        printf("f %.17g\n", *(double*)f->data);
        if (t == steps || row_status != L2O_ROW_GOES_ON) continue;
        in = (l2o_step_in){.batch = 1,
                           .t = t,
                           .params = IN(params),
                           .state = IN(state),
                           .x = IN(x),
                           .g = (info.reads & L2O_ORACLE_GRADIENT) != 0 ? IN(g) : NULL,
                           .f = (info.reads & L2O_ORACLE_VALUE) != 0 ? f : NULL};
        if (t == steps - 1) print_slope(&in);
        row_status = step(&in, next, &state, &spare);
        l2o_tensor** kept = x;
        x = next;
        next = kept;
    }
    printf("row_status %d\n", (int)row_status);
    print_loss(&of_loss, all_f);
    api.destroy(optimizer);
    problem_api.destroy(problem);
    return 0;
}
