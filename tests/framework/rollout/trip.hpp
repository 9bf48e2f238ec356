#pragma once

#include <string>
#include <utility>
#include <vector>

#include "framework/error.hpp"
#include "framework/rollout/rollout.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

using namespace l2o::framework;

inline constexpr Key kSteps{1, 2}, kStarts{3, 4};

/// An optimizer on the instances of a problem, from the problem's own starts.
class Trip {
  public:
    explicit Trip(const Lab::Setup& setup) : lab_(setup) {
        std::vector<Tensor> params;
        for (const Tensor& tensor : lab_.params()) params.push_back(tensor.clone());
        params_ = TensorSet(std::move(params));
    }

    Course course(std::int64_t iterations) {
        return {.first = {lab_.optimizer(), params_},
                .iterations = iterations,
                .keeps_best = can_keep_best(optimizee()),
                .pays_for_end = true};
    }
    Rollout rollout(const Course& course) {
        return {optimizee(), lab_.problem().data(), course, kSteps, kStarts, 0};
    }
    const Optimizee& optimizee() { return lab_.problem().optimizee(); }
    const std::vector<Tensor>& x0() { return lab_.problem().x(); }
    Lab& lab() { return lab_; }

  private:
    Lab lab_;
    TensorSet params_;
};

inline Lab::Setup on_rastrigin(const std::string& optimizer, OptionText options) {
    return {.optimizer = optimizer,
            .options = std::move(options),
            .problem = {.optimizee = "rastrigin", .options = {{"n", "4"}}, .instances = 3}};
}

inline std::string refusal(const auto& body) {
    try {
        body();
    } catch (const Error& error) {
        return error.what();
    }
    return "not refused";
}

}  // namespace l2o::test
