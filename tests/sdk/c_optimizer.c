/* x <- x - the sum of its options, v <- v + 1; an option of every kind. */
#include "in_c.h"
#undef L2O_ENTRY
#define L2O_ENTRY l2o_test_c_optimizer
#include <l2o/c/optimizer.h>

static l2o_status step(const l2o_optimizer* self, l2o_call* call, const l2o_step_in* in, l2o_step_out* out) {
    const l2o_value* option = self->option;
    double sum = option[0].d + (double)option[1].i + (double)option[2].i + (double)option[3].i;
    (void)call;
    for (uint64_t i = 0; i < option[4].count; ++i) sum += (double)option[4].iv[i];
    for (uint64_t i = 0; i < option[5].count; ++i) sum += option[5].dv[i];
    sum += (double)(strlen(option[3].s) + strlen(option[6].s) + strlen(option[7].s));
    for (uint32_t k = 0; k < self->n_blocks; ++k) {
        const uint32_t v = l2o_c_state(self, 1, k);
        for (uint32_t row = 0; row < in->batch; ++row)
            for (int64_t i = 0; i < l2o_c_row_size(in->x[k]); ++i) {
                l2o_c_put(out->x[k], row, i, l2o_c_get(in->x[k], row, i) - sum);
                l2o_c_put(out->state[v], row, i, l2o_c_get(in->state[v], row, i) + 1);
            }
    }
    return L2O_STATUS_OK;
}

static l2o_status accept(const l2o_optimizer* self, l2o_call* call, const l2o_problem* problem) {
    if (problem->max_evaluations == 0 || problem->max_evaluations > self->option[1].i) return L2O_STATUS_OK;
    return l2o_c_fail(call,
                      L2O_STATUS_UNSUPPORTED,
                      "a budget of %d evaluations; expected more than int, which is %d",
                      (int)problem->max_evaluations,
                      (int)self->option[1].i);
}

L2O_C_OPTIMIZER(.about = {.id = "in_c",
                          .version = "1.2.3",
                          .title = "In C",
                          .doc = "For tests.",
                          .license = "MIT",
                          .vendor = "Example",
                          .needs = "A,b?",
                          .tags = {"small"},
                          .options = {L2O_C_REAL("real", "0.5", 0, 1, L2O_OPTION_OPEN_MIN, "a number"),
                                      L2O_C_INT("int", "1", 0, INFINITY, 0, "a number"),
                                      L2O_C_BOOL("bool", "true", 0, "a switch"),
                                      L2O_C_CHOICE("choice", "two", 0, "a word", "one", "two", "three"),
                                      L2O_C_INTS("ints", "1,2", -1, 9, 0, "numbers"),
                                      L2O_C_REALS("reals", "", -INFINITY, INFINITY, 0, "numbers"),
                                      L2O_C_TEXT("text", "abc", 0, "words"),
                                      L2O_C_PATH("path", NULL, L2O_OPTION_REQUIRED, "a file")}},
                .info = {.flags = L2O_FLAG_DETERMINISTIC,
                         .reads = L2O_ORACLE_GRADIENT,
                         .max_questions = 1,
                         .question_kinds = L2O_ORACLE_VALUE},
                .states = {"u", "v"},
                .step_f32 = step,
                .accept = accept)
