// Nets as operations of forward(), seen through the C tables that the glue fills.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/planes.hpp>
#include <l2o/nets/dense.hpp>
#include <l2o/nets/gru.hpp>
#include <l2o/nets/log_and_sign.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>
#include <vector>

#include "tests/sdk/one_step.hpp"

namespace {

namespace nets = l2o::nets;
using namespace l2o::test;
using l2o::layers::Step, l2o::layers::Value;

constexpr l2o::About kAbout{
    .id = "probe", .version = "1.0.0", .title = "Probe", .doc = "For tests.", .needs = "A,b"};
constexpr std::int64_t kHidden = 5;

/// The network of L2O-DM.
struct Recurrent : l2o::layers::Layered<Recurrent> {
    static constexpr l2o::About about = kAbout;
    nets::Net<nets::LogAndSign, nets::Lstm, nets::Lstm, nets::Dense<nets::Linear>> net;

    void declare(l2o::OptimizerSpec& spec) {
        auto& [reads, layer1, layer2, linear] = net.parts;
        reads.k = 1;
        layer1.declare(spec, {.weights = "1", .h = "h1", .c = "c1"}, 2, kHidden, nets::kPerCoordinate);
        layer2.declare(spec, {.weights = "2", .h = "h2", .c = "c2"}, kHidden, kHidden, nets::kPerCoordinate);
        linear.declare(spec, {.w = "w", .b = "b", .doc = ""}, kHidden, 1);
        spec.reads_g();
        measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        nets::Running run(net, step);
        const auto update = [](auto r, auto x) { return x + r * r; };
        step.set_x(run.template at<1>(0, std::array{step.g()}, update, std::array{step.x()}));
    }
};

/// Dense layers of every activation, constant inputs, two results, a number for all among the variables.
template <std::int64_t kRowsAtOnce>
struct Feedforward : l2o::layers::Layered<Feedforward<kRowsAtOnce>> {
    static constexpr l2o::About about = kAbout;
    nets::Net<nets::Dense<nets::Elu>,
              nets::Dense<nets::Tanh>,
              nets::Dense<nets::Relu>,
              nets::Dense<nets::TwiceLogistic>>
        net;
    l2o::Param p, q;
    l2o::State s;

    void declare(l2o::OptimizerSpec& spec) {
        auto& [first, second, third, last] = net.parts;
        first.declare(spec, {.w = "w0", .b = "b0", .doc = ""}, 4, kHidden, 2);
        second.declare(spec, {.w = "w1", .b = "b1", .doc = ""}, kHidden, 1);
        third.declare(spec, {.w = "w2", .b = "b2", .doc = ""}, 1, kHidden);
        last.declare(spec, {.w = "w3", .b = "b3", .doc = ""}, kHidden, 2);
        p = spec.param({.name = "p"}), q = spec.param({.name = "q"});
        s = spec.state({.name = "s", .shape = {kN}, .batched = true});
        spec.reads_g();
        this->measure(spec, kRowsAtOnce * kN);
    }
    template <class T>
    void forward(Step<T>& step) const {
        nets::Running run(net, step);
        run.template part<0>().set_constants(std::array{0.3, -2.0});
        const auto rule = [](auto a, auto b, auto x, auto p_0, auto c) {
            const auto z = x * a + c * b;
            return std::array{z, z * p_0};
        };
        const Value<T> both = run.template at<2>(0,
                                                 std::array{step.g(), step.state(s)},
                                                 rule,
                                                 std::array{step.x(), step.param(p)},
                                                 std::array{step.constant(T(0.7))});
        step.set_x(columns(both, 0, kN));
        step.set(s, columns(both, kN, kN));
    }
};

/// A cell for every row, of either form; its cell state is read.
template <nets::LstmForm kForm>
struct Cells : l2o::layers::Layered<Cells<kForm>> {
    static constexpr l2o::About about = kAbout;
    nets::Net<nets::Lstm> net;

    void declare(l2o::OptimizerSpec& spec) {
        auto& lstm = net.template part<0>();
        lstm.form = kForm, lstm.reads_cell = true;
        lstm.declare(spec, {.weights = "cell", .h = "h", .c = "c"}, 2, kHidden, nets::kPerRow);
        spec.reads_g();
        this->measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        nets::Running run(net, step);
        const auto sum = [](auto a) { return a; };
        const Value<T> c = step.set(net.template part<0>().c(),
                                    run.outputs(0, row_sum(sum, step.x()), row_sum(sum, step.g())));
        step.set_x(map([](auto x, auto c_0) { return x * c_0; }, step.x(), columns(c, 2, 1)));
    }
};

/// GRU cells at every coordinate, which hear a message, and one for the row that reads their mean.
template <int kRows>
struct Gated : l2o::layers::Layered<Gated<kRows>> {
    static constexpr l2o::About about = kAbout;
    nets::Gru cell, top;
    l2o::State h, s, m;
    l2o::Param w;

    void declare(l2o::OptimizerSpec& spec) {
        cell.declare(spec, "cell", 2, kHidden), top.declare(spec, "top", kHidden, 3);
        h = spec.state({.name = "h", .shape = {kHidden, kN}, .batched = true});
        s = spec.state({.name = "s", .shape = {3}, .batched = true});
        m = spec.state({.name = "m", .shape = {3 * kHidden}, .batched = true});
        w = spec.param({.name = "w", .shape = {2}});
        spec.reads_g();
        this->measure(spec, kRows * kN);
    }
    template <class T>
    void forward(Step<T>& step) const {
        const Value<T> x = joined(step.x(), step.g()), message = step.state(m);
        const Value<T> next = step.set(h, cell(step, x, step.state(h), message, kN));
        step.set(s, top(step, plane_means(next, kN), step.state(s), {}, 1));
        step.set(m, message);
        step.set_x(mixed(next, step.param(w), kN));
    }
};
struct TooManyPlanes : l2o::layers::Layered<TooManyPlanes> {
    static constexpr l2o::About about = kAbout;
    l2o::Param w;
    void declare(l2o::OptimizerSpec& spec) {
        w = spec.param({.name = "w", .shape = {2}});
        measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        step.set_x(mixed(step.x(), step.param(w), kN));
    }
};
struct SmallCell : l2o::layers::Layered<SmallCell> {
    static constexpr l2o::About about = kAbout;
    nets::Gru cell;
    void declare(l2o::OptimizerSpec& spec) {
        cell.declare(spec, "cell", 2, 1);
        measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        step.set_x(cell(step, step.x(), step.x(), {}, kN));
    }
};

struct WrongInputs : l2o::layers::Layered<WrongInputs> {
    static constexpr l2o::About about = kAbout;
    nets::Net<nets::Dense<nets::Linear>> net;

    void declare(l2o::OptimizerSpec& spec) {
        net.part<0>().declare(spec, {.w = "w", .b = "b", .doc = ""}, 2, 1);
        measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        nets::Running run(net, step);
        const auto update = [](auto r, auto x) { return x + r; };
        step.set_x(run.template at<1>(0, std::array{step.x()}, update, std::array{step.x()}));
    }
};

double logistic(double z) { return 1 / (1 + std::exp(-z)); }

}  // namespace

TEST_CASE("nets: the gradient of every part equals central differences") {
    SUBCASE("logarithm and sign, LSTM layers, a read-out") { check_gradient<Recurrent>(); }
    SUBCASE("dense layers, some constant inputs, two results") { check_gradient<Feedforward<0>>(); }
    SUBCASE("an LSTM for every row in the form of Sonnet") {
        check_gradient<Cells<nets::LstmForm::kSonnet>>();
    }
    SUBCASE("and in that of torch") { check_gradient<Cells<nets::LstmForm::kTorch>>(); }
    SUBCASE("GRU cells of coordinates and of rows") { check_gradient<Gated<0>>(); }
}

template <class Whole, class Parts>
void check_parts(Whole&& whole, Parts&& parts) {
    whole.step(), parts.step();
    CHECK(whole.x_out.all[0].values == parts.x_out.all[0].values);
    for (std::size_t i = 0; i < whole.state_out.all.size(); ++i)
        CHECK(whole.state_out.all[i].values == parts.state_out.all[i].values);
    whole.back(true, all), parts.back(true, all);
    CHECK(whole.g_acc.all[0].values == parts.g_acc.all[0].values);
    for (std::size_t i = 0; i < whole.param_acc.all.size(); ++i)
        for (std::size_t j = 0; j < whole.param_acc.all[i].values.size(); ++j)
            CHECK(parts.param_acc.all[i].values[j] ==
                  doctest::Approx(whole.param_acc.all[i].values[j]).epsilon(1e-11));
}
TEST_CASE("nets: rows computed in parts have the bits of all at once, and the sums of their gradients") {
    SUBCASE("dense layers") { check_parts(Instance<Feedforward<0>>(5), Instance<Feedforward<2>>(5)); }
    SUBCASE("GRU cells, of which a tile holds several rows or a part of one") {
        check_parts(Instance<Gated<0>>(5), Instance<Gated<1>>(5));
    }
}

TEST_CASE("nets: without weights a cell forgets by the logistic function of its forget bias: 1, of torch 0") {
    const auto check = [](auto& it, double kept) {
        for (auto& one : it.params.all) std::ranges::fill(one.values, 0.0);
        it.step();
        for (std::size_t i = 0; i < it.state.all[1].values.size(); ++i) {
            const double c = it.state.all[1].values[i] * kept;
            CHECK(it.state_out.all[1].values[i] == doctest::Approx(c).epsilon(1e-12));
            CHECK(it.state_out.all[0].values[i] == doctest::Approx(0.5 * std::tanh(c)).epsilon(1e-12));
        }
    };
    Instance<Cells<nets::LstmForm::kSonnet>> sonnet(3);
    check(sonnet, logistic(1));
    Instance<Cells<nets::LstmForm::kTorch>> torch(3);
    check(torch, 0.5);
}

TEST_CASE("nets: without weights a GRU keeps half of its state, and all of it where a message says so") {
    Instance<Gated<0>> it(2);
    for (auto& one : it.params.all) std::ranges::fill(one.values, 0.0);
    for (const double u : {0.0, 1e3}) {
        for (std::size_t i = 0; i < it.state.all[2].values.size(); ++i)
            it.state.all[2].values[i] = i / kHidden % 3 == 1 ? u : 0;
        it.step();
        for (std::size_t i = 0; i < it.state.all[0].values.size(); ++i)
            CHECK(it.state_out.all[0].values[i] ==
                  doctest::Approx((u > 0 ? 1 : 0.5) * it.state.all[0].values[i]).epsilon(1e-12));
    }
}

TEST_CASE("nets: planes that are not there are refused when the method is created") {
    Instance<TooManyPlanes> planes(1);
    REQUIRE(planes.created != 0);
    CHECK(std::string(planes.error) ==
          "2 planes of 70 entries are taken of rows of 70; expected some of their planes, and one row of "
          "weights");
    Instance<SmallCell> cell(1);
    REQUIRE(cell.created != 0);
    CHECK(std::string(cell.error) ==
          "a GRU of 2 inputs and 1 units reads rows of 70 and 70 entries at 70 coordinates; expected as many "
          "of each");
}

TEST_CASE("nets: a net that is run with another number of inputs is refused when the method is created") {
    Instance<WrongInputs> it(1);
    REQUIRE(it.created != 0);
    CHECK(std::string(it.error) == "a net of 2 inputs and 1 outputs is run as one of 1 and 1");
}
