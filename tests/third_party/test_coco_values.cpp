// The plugin of examples/third_party/coco_bbob against COCO itself; run by coco_values.sh.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "tests/support/lab.hpp"

extern "C" {
#include "coco.h"
double coco_problem_get_best_value(const coco_problem_t* problem);
}

using namespace l2o::test;
using namespace l2o::framework;

namespace {

struct Coco {
    Coco(std::size_t function, std::size_t n, std::size_t instance) {
        coco_set_log_level("error");
        coco_suite_t* suite = coco_suite("bbob", ("instances: " + std::to_string(instance)).c_str(), "");
        problem = coco_suite_get_problem_by_function_dimension_instance(suite, function, n, instance);
        coco_suite_free(suite);
    }
    Coco(const Coco&) = delete;
    Coco& operator=(const Coco&) = delete;
    ~Coco() { coco_problem_free(problem); }
    double operator()(const double* x) {
        double f = 0;
        coco_evaluate_function(problem, x, &f);
        return f;
    }
    coco_problem_t* problem;
};

const std::string kPlugin = "org.example.coco_bbob";

}  // namespace

TEST_CASE("coco_bbob: f equals COCO's bit for bit: 24 functions, 4 instances, 2, 5, 10 and 40 variables") {
    for (const std::size_t n : {2, 5, 10, 40}) {
        CAPTURE(n);
        ProblemLab lab({.optimizee = kPlugin, .options = {{"n", std::to_string(n)}}, .instances = 96});
        for (std::int32_t row = 0; row < 96; ++row)
            lab.data("instance").values<std::int32_t>()[row] = std::vector{1, 2, 15, 1003}[row / 24];
        const std::vector<double> f = lab.objective(), x = values(lab.x()[0]),
                                  functions = values(lab.data("function")),
                                  instances = values(lab.data("instance"));
        for (std::size_t row = 0; row < 96; ++row) {
            CHECK(functions[row] == 1 + row % 24);
            Coco coco(row % 24 + 1, n, static_cast<std::size_t>(instances[row]));
            CHECK(f[row] == coco(&x[row * n]));
        }
    }
}

TEST_CASE("coco_bbob: the test split is COCO's instances from 1 on, with its minima; training has others") {
    const ProblemLab lab({.optimizee = kPlugin, .instances = 1});
    const ProblemData test = lab.optimizee().sample({5, 0}, Split::kTest, 0, 48, true);
    const std::vector<double> functions = values(test.tensors[0]), instances = values(test.tensors[1]),
                              f_opt = values(test.tensors[2]);
    for (std::size_t row = 0; row < 48; ++row) {
        CHECK(functions[row] == 1 + row % 24);
        CHECK(instances[row] == 1 + row / 24);
        const Coco coco(row % 24 + 1, 10, row / 24 + 1);
        CHECK(f_opt[row] == coco_problem_get_best_value(coco.problem));
    }
    const ProblemData train = lab.optimizee().sample({5, 0}, Split::kTrain, 0, 48, false);
    for (const double instance : values(train.tensors[1])) CHECK(instance > 20000);
}

TEST_CASE("coco_bbob: a fixed function or instance stays, and a size that COCO does not have is refused") {
    ProblemLab lab({.optimizee = kPlugin, .options = {{"function", "7"}, {"instance", "3"}}});
    CHECK(values(lab.data("function")) == std::vector<double>(4, 7));
    CHECK(values(lab.data("instance")) == std::vector<double>(4, 3));
    CHECK_THROWS_WITH_AS(ProblemLab({.optimizee = kPlugin, .options = {{"n", "4"}}}),
                         doctest::Contains("n is 4; expected 2, 3, 5, 10, 20 or 40"),
                         Error);
}
