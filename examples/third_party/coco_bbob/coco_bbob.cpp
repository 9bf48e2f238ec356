#include <algorithm>
#include <array>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

extern "C" {
#include "coco.h"
double coco_problem_get_best_value(const coco_problem_t* problem);  // in coco.c alone
}

using namespace l2o;

namespace {

// The 24 noiseless functions of Hansen et al. 2009, "Real-parameter black-box optimization benchmarking", by
// COCO's own code (Hansen et al. 2021).
struct CocoBbob {
    static constexpr About about{"org.example.coco_bbob",
                                 "1.0.0",
                                 "COCO's bbob functions",
                                 "values of COCO's code, no gradients; x_0 uniform in [-4, 4]^n; gap is f - "
                                 "f_opt. Instance i of the test split "
                                 "is COCO's function and instance (1 + i % 24, 1 + i / 24), of a fixed "
                                 "function or instance (1 + i) the other; "
                                 "validation and training have instances from 10001 and 20001 on"};
    std::int64_t n = 10, function = 0, instance = 0;

    static Options<CocoBbob> options() {
        Options<CocoBbob> options;
        options.integer("n", &CocoBbob::n, "number of variables: 2, 3, 5, 10, 20 or 40", at_least(2))
            .integer("function", &CocoBbob::function, "1 to 24; 0: all, by turns", between(0, 24))
            .integer("instance", &CocoBbob::instance, "COCO's number; 0: from 1 on", between(0, 1e6));
        return options;
    }
    void declare(OptimizeeSpec& spec) {
        constexpr std::array kSizes = {2, 3, 5, 10, 20, 40};
        if (std::ranges::find(kSizes, n) == kSizes.end())
            invalid("n is " + std::to_string(n) + "; expected 2, 3, 5, 10, 20 or 40, which COCO has");
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        function_ = spec.data<std::int32_t>({.name = "function", .doc = "1 to 24", .batched = true});
        instance_ = spec.data<std::int32_t>({.name = "instance", .doc = "COCO's number", .batched = true});
        f_opt_ = spec.solution<double>(
            {.name = "f_opt", .doc = "the minimum", .batched = true, .flags = L2O_SPEC_OPTIMUM});
        gap_ = spec.metric("gap", "f - f_opt", L2O_SPEC_NEEDS_SOLUTION);
        spec.info.answers = L2O_ORACLE_VALUE;
        spec.scratch([this](Scratch& scratch, std::int64_t, auto) { scratch.take<double>(n); });
    }
    void sample(const Draw& draw, const auto& data) const {
        constexpr std::array<std::int64_t, 3> kFirst = {20001, 10001, 1};  // training, validation, test
        for (std::int64_t row = 0; row < draw.count; ++row) {
            const auto i = std::int64_t(draw.first) + row;
            const std::int64_t turn = function > 0 ? i : i / 24;
            data[function_][row] = std::int32_t(function > 0 ? function : 1 + i % 24);
            data[instance_][row] =
                std::int32_t(instance > 0 ? instance : kFirst.at(std::size_t(draw.split)) + turn);
            if (data[f_opt_]) data[f_opt_][row] = of(data[function_][row], data[instance_][row]).best;
        }
    }
    void init_point(const l2o_call& call, const auto&, const auto& x) const {
        for (std::int64_t row = 0; row < x[0].rows; ++row) {
            numerics::Stream random(call.key, call.row0 + std::uint64_t(row));
            for (std::int64_t i = 0; i < n; ++i) x[0](row, i) = 8 * random.uniform<double>() - 4;
        }
    }
    double value(const auto& in, std::int64_t row, double* point) const {
        std::copy_n(in.x(0).row(row), n, point);
        return of(*in.row(function_, row), *in.row(instance_, row))(point);
    }
    void eval(const auto& in, const auto& out) const {
        double* point = Scratch(in.call).template take<double>(n);
        for (std::int64_t row = 0; row < in.rows() && out.f(); ++row) out.f()[row] = value(in, row, point);
    }
    void metrics(const auto& in, const auto& out) const {
        double* point = Scratch(in.call).template take<double>(n);
        for (std::int64_t row = 0; row < in.rows() && out[gap_]; ++row)
            out[gap_][row] = value(in, row, point) - *in.row(f_opt_, row);
    }

  private:
    // COCO counts the evaluations of a problem in it: one thread at a time.
    struct Problem {
        Problem(int function, int instance, int n) {
            coco_set_log_level("error");
            coco_suite_t* suite = coco_suite("bbob",
                                             ("instances: " + std::to_string(instance)).c_str(),
                                             ("dimensions: " + std::to_string(n)).c_str());
            problem = coco_suite_get_problem_by_function_dimension_instance(
                suite, std::size_t(function), std::size_t(n), std::size_t(instance));
            coco_suite_free(suite);
            best = coco_problem_get_best_value(problem);
        }
        Problem(const Problem&) = delete;
        Problem& operator=(const Problem&) = delete;
        ~Problem() { coco_problem_free(problem); }
        double operator()(const double* x) {
            const std::lock_guard lock(mutex);
            double f = 0;
            coco_evaluate_function(problem, x, &f);
            return f;
        }
        std::mutex mutex;
        coco_problem_t* problem;
        double best;
    };

    Problem& of(int function, int instance) const {
        if (function < 1 || function > 24 || instance < 1)
            invalid("function " + std::to_string(function) + ", instance " + std::to_string(instance) +
                    "; expected a function from 1 to 24 and an instance from 1 on");
        static std::mutex making;  // COCO makes problems with the help of a global variable
        const std::lock_guard lock(making);
        std::unique_ptr<Problem>& problem = problems_[{function, instance}];
        if (!problem) problem = std::make_unique<Problem>(function, instance, int(n));
        return *problem;
    }

    DataOf<std::int32_t> function_, instance_;
    DataOf<double> f_opt_;
    Metric gap_;
    mutable std::map<std::pair<int, int>, std::unique_ptr<Problem>> problems_;
};

}  // namespace

L2O_PLUGIN(Optimizee<CocoBbob>)
