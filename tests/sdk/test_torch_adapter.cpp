#include <doctest/doctest.h>

#include <cmath>
#include <optional>

#include "framework/error.hpp"
#include "framework/rollout/stepper.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;
using l2o::framework::Point;
using l2o::framework::Scene;
using l2o::framework::Stepper;
using l2o::framework::TensorSet;

namespace {

Lab::Setup setup(const std::string& fault = "none", Dtype dtype = Dtype::kF64) {
    return {.optimizer = "torch_mlp_rule",
            .options = {{"fault", fault}},
            .problem = {.optimizee = "quadratic",
                        .options = {{"n", "3"}, {"init_std", "1"}},
                        .instances = 2,
                        .dtype = dtype}};
}

std::vector<Tensor> zeros_like(const TensorSet& set) {
    std::vector<Tensor> out;
    for (const Tensor& tensor : set.tensors()) out.emplace_back(tensor.dtype(), tensor.shape());
    return out;
}

void fill_ones(TensorSet& set) {
    for (Tensor& tensor : set.tensors())
        set_values(tensor, std::vector<double>(static_cast<std::size_t>(tensor.size()), 1.0));
}

/// A point of a trajectory, and step_vjp there for cotangents of our choice.
class Reverse {
  public:
    explicit Reverse(Lab& lab)
        : params_([&] {
              std::vector<Tensor> list;
              for (Tensor& tensor : lab.params())
                  list.push_back(Tensor::borrow(tensor.dtype(), tensor.shape(), tensor.data()));
              return TensorSet(std::move(list));
          }()),
          scene_{lab.optimizer(), lab.problem().optimizee(), lab.problem().data(), params_, {7, 7}},
          stepper_(scene_),
          point_(stepper_.layout(), {.g = true, .f = true, .state = true}),
          cot(stepper_.layout(), {}),
          acc(stepper_.layout(), {.g = true, .f = false, .state = true}),
          acc_params(zeros_like(params_)) {
        for (std::size_t k = 0; k < point_.x.size(); ++k)
            set_values(point_.x[k], values(lab.problem().x()[k]));
        stepper_.init_state(point_);
        stepper_.evaluate(point_, 0, true, true, l2o::framework::kFree);
        fill_ones(point_.state);
        fill_ones(cot.x);
        fill_ones(cot.state);
    }

    /// A NULL list entry everywhere in `cot_state`, `cot_x` or the accumulators but the parameters'.
    void run(bool with_cot_state, bool with_cot_x, bool with_all_accumulators) {
        const l2o_step_in in = stepper_.step_in(point_, 0, nullptr);
        l2o_tensor* none[8] = {};
        const l2o_step_cot out_cot{.state = with_cot_state ? cot.state.in() : none,
                                   .x = with_cot_x ? cot.x.in() : none,
                                   .q = nullptr};
        l2o_step_acc accumulators{};
        accumulators.params = acc_params.out();
        accumulators.state = with_all_accumulators ? acc.state.out() : none;
        accumulators.x = with_all_accumulators ? acc.x.out() : none;
        accumulators.g = with_all_accumulators ? acc.g.out() : none;
        stepper_.call().check(
            scene_.optimizer.vjp()->step_vjp(
                scene_.optimizer.raw(), stepper_.step_call(0), &in, nullptr, &out_cot, &accumulators),
            "step_vjp");
    }

  private:
    TensorSet params_;
    Scene scene_;
    Stepper stepper_;
    Point point_;

  public:
    Point cot, acc;
    TensorSet acc_params;
};

}  // namespace

TEST_CASE("torch adapter: a step is what forward() says, in float32 and float64") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        Lab lab(setup("none", dtype));
        const double tolerance = dtype == Dtype::kF32 ? 1e-5 : 1e-12;
        const std::vector<double> x0 = values(lab.problem().x()[0]);
        const std::vector<double> g = lab.problem().gradient()[0];
        const std::vector<double> w = values(lab.param("hidden/w")), b = values(lab.param("hidden/b")),
                                  out = values(lab.param("out/w"));
        const std::vector<double> x1 = lab.run(1).x[1];
        for (std::size_t i = 0; i < g.size(); ++i) {
            double net = 0;
            for (std::size_t unit = 0; unit < 8; ++unit)
                net += out[unit] * std::tanh(g[i] * w[unit] + 0.1 * g[i] * w[8 + unit] + b[unit]);
            CHECK(std::abs(x1[i] - (x0[i] + 0.1 * net)) <= tolerance * (1 + std::abs(x1[i])));
        }
    }
}

TEST_CASE("torch adapter: step_vjp equals central differences and adds to the accumulators") {
    // Lab's accumulators start from ones.
    CHECK(Lab(setup()).step_vjp_error() <= 1e-6);
}

TEST_CASE("torch adapter: an absent cotangent is zero, and an absent accumulator is left out") {
    Lab lab(setup());
    Reverse full(lab), zero_state(lab), no_state(lab), params_only(lab);
    full.run(true, true, true);
    zero_state.cot.state.zero();
    zero_state.run(true, true, true);
    no_state.run(false, true, true);
    params_only.run(true, true, false);
    for (std::size_t i = 0; i < full.acc_params.size(); ++i) {
        CHECK(values(no_state.acc_params[i]) == values(zero_state.acc_params[i]));
        CHECK(values(params_only.acc_params[i]) == values(full.acc_params[i]));
    }
    CHECK(values(no_state.acc.g[0]) == values(zero_state.acc.g[0]));
    CHECK(values(no_state.acc.g[0]) != values(full.acc.g[0]));
    CHECK(values(params_only.acc.g[0]) == std::vector<double>(6, 0.0));
}

TEST_CASE("torch adapter: without any cotangent nothing is added") {
    Lab lab(setup());
    Reverse reverse(lab);
    fill_ones(reverse.acc.g);
    reverse.run(false, false, true);
    CHECK(values(reverse.acc.g[0]) == std::vector<double>(6, 1.0));
    CHECK(values(reverse.acc_params[0]) == std::vector<double>(16, 0.0));
}

TEST_CASE("torch adapter: what forward() returns is checked against the declaration") {
    const auto message = [](const std::string& fault) -> std::string {
        try {
            Lab(setup(fault)).run(1);
        } catch (const l2o::framework::Error& error) {
            return error.what();
        }
        return "no error";
    };
    CHECK(message("shape").find("forward() returned state[0] as Double []; expected Double [2, 3]") !=
          std::string::npos);
    CHECK(message("count").find("forward() returned 0 tensors of state; expected 1") != std::string::npos);
}
