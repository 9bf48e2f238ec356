// What a forward() may not say: each is refused in a sentence, when the method is created or in the step that
// says it.
#include <doctest/doctest.h>

#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>
#include <string>

#include "tests/sdk/one_step.hpp"

namespace {

using namespace l2o::test;
using l2o::layers::Step, l2o::layers::Value;

/// A state of 70 entries for each instance, a matrix, and what the case does with them.
template <class Case>
struct Method : l2o::layers::Layered<Method<Case>> {
    static constexpr l2o::About about{
        .id = "method", .version = "1.0.0", .title = "Method", .doc = "For tests.", .needs = "A,b"};
    l2o::Need a, b;
    l2o::State h;
    l2o::Param w;

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g();
        a = spec.needs("A"), b = spec.needs("b");
        h = spec.state({.name = "h", .shape = {kN}, .batched = true});
        w = spec.param({.name = "W", .shape = {kM, kN}});
        Case::declare_more(spec);
        this->measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        Case::forward(*this, step);
    }
};
struct Plain {
    static void declare_more(l2o::OptimizerSpec&) {}
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(step.x() - step.g());
        step.set(m.h, Value<T>{});
    }
};
/// Sets h, and does `what`.
template <class What>
struct With : Plain {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set(m.h, step.state(m.h));
        What::forward(m, step);
    }
};
struct StateOfTheBatch : Plain {
    static void declare_more(l2o::OptimizerSpec& spec) { spec.state({.name = "count", .shape = {2}}); }
};
struct Nothing {
    static void forward(const auto&, auto&) {}
};
struct SetsTwice {
    static void forward(const auto&, auto& step) { step.set_x(step.x()), step.set_x(step.g()); }
};
struct SetsWide {
    static void forward(const auto& m, auto& step) { step.set_x(step.data(m.b)); }
};
struct SetsOneRow {
    static void forward(const auto&, auto& step) { step.set_x(step.constant(1)); }
};
struct SetsAnotherBlock {
    static void forward(const auto&, auto& step) { step.set_x(step.x()), step.set_x(step.g(), 1); }
};
struct ReadsAnotherBlock {
    static void forward(const auto&, auto& step) { step.set_x(step.x(1)); }
};
struct ReadsAnotherGradient {
    static void forward(const auto&, auto& step) { step.set_x(step.g(1)); }
};
struct ForgetsH : Plain {
    static void forward(const auto&, auto& step) { step.set_x(step.x()); }
};
struct ForgetsHLater : Plain {
    static void forward(const auto& m, auto& step) {
        step.set_x(step.x());
        if (step.t() < 2) step.set(m.h, step.state(m.h));
    }
};
struct SetsHTwice : Plain {
    static void forward(const auto& m, auto& step) {
        step.set_x(step.x());
        step.set(m.h, step.state(m.h));
        step.room_of(m.h);
    }
};
/// From step 20 on, which nobody looks at when the method is created.
template <class What>
struct Later : Plain {
    static void forward(const auto& m, auto& step) {
        if (step.t() >= 20) return What::forward(m, step);
        step.set_x(step.x());
        step.set(m.h, step.state(m.h));
    }
};
struct SharesA {
    static void forward(const auto& m, auto& step) { step.set_x(step.data(m.a) * step.matrix(m.w)); }
};
struct OwnsB {
    static void forward(const auto& m, auto& step) { step.set_x(step.x() + step.shared_data(m.b)); }
};
struct RowOfW {
    static void forward(const auto& m, auto& step) {
        step.set_x(map([](auto x, auto w) { return x * w; }, step.x(), step.param(m.w)));
    }
};

template <class Case>
std::string refusal() {
    const Instance<Method<Case>> it(1);
    REQUIRE(it.created != 0);
    return it.error;
}

template <class Case>
std::string refusal_of_step(std::int64_t t) {
    Instance<Method<Case>> it(1);
    REQUIRE(it.created == 0);
    it.number_of_step = t;
    return it.try_step() == 0 ? "" : it.error;
}

/// Declares what it has in the wrong order, or measures nothing.
template <bool kMeasures>
struct Unmeasured : Method<Plain> {
    void declare(l2o::OptimizerSpec& spec) {
        if (kMeasures) Method<Plain>::declare(spec);
        spec.state({.name = "late", .batched = true});
    }
};

/// A state that a net writes, at the blocks that it is run at; with 4 runs at one of them until step 20.
template <int kRuns>
struct Cell : l2o::layers::Layered<Cell<kRuns>> {
    static constexpr l2o::About about = Method<Plain>::about;
    l2o::nets::Net<l2o::nets::Lstm> net;

    void declare(l2o::OptimizerSpec& spec) {
        net.part<0>().declare(spec, {.weights = "cell", .h = "h", .c = "c"}, 1, 1, l2o::nets::kPerCoordinate);
        spec.reads_g();
        this->measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        l2o::nets::Running run(net, step);
        Value<T> x = step.x();
        for (int i = 0; i < (kRuns == 4 ? step.t() < 20 : kRuns); ++i)
            x = x + run.outputs(kRuns == 3 ? i : 0, step.g());
        step.set_x(x);
    }
};

}  // namespace

TEST_CASE("forward: one that sets every output once, in rows of its size, is not refused") {
    CHECK(Instance<Method<Plain>>(1).created == 0);
    CHECK(Instance<Cell<1>>(1).created == 0);
}

TEST_CASE("forward: a state of the whole batch is refused") {
    CHECK(refusal<StateOfTheBatch>() ==
          "state 'count' is one for the whole batch, and forward() computes row by row; expected '.batched = "
          "true' in declare()");
}

TEST_CASE("forward: what is not set, or set again, is refused with the step in which that happens") {
    CHECK(refusal<With<Nothing>>() ==
          "forward() of step 0 does not set x' of block 'x'; expected 'step.set_x(value, 0)', with an empty "
          "value for zeros");
    CHECK(refusal<ForgetsH>() ==
          "forward() of step 0 does not set state 'h'; expected 'step.set(handle, value)', with an empty "
          "value for zeros");
    CHECK(refusal<ForgetsHLater>() ==
          "forward() of step 2 does not set state 'h'; expected 'step.set(handle, value)', with an empty "
          "value for zeros");
    CHECK(refusal<With<SetsTwice>>() == "forward() of step 0 sets x' of block 'x' twice; expected once");
    CHECK(refusal<SetsHTwice>() == "forward() of step 0 sets state 'h' twice; expected once");
}

TEST_CASE("forward: what a later step does not set, or sets again, is refused by that step") {
    CHECK(refusal_of_step<Later<ForgetsH>>(19).empty());
    CHECK(refusal_of_step<Later<ForgetsH>>(20) ==
          "forward() of step 20 does not set state 'h'; expected 'step.set(handle, value)', with an empty "
          "value for zeros");
    CHECK(refusal_of_step<Later<Nothing>>(23) ==
          "forward() of step 23 does not set x' of block 'x'; expected 'step.set_x(value, 0)', with an empty "
          "value for zeros");
    CHECK(refusal_of_step<Later<SetsTwice>>(20) ==
          "forward() of step 20 sets x' of block 'x' twice; expected once");
    Instance<Cell<4>> net(1);
    REQUIRE(net.created == 0);
    net.step();
    net.number_of_step = 20;
    CHECK(net.try_step() != 0);
    CHECK(std::string(net.error) ==
          "forward() of step 20 does not set state 'h'; expected 'step.set(handle, value)', with an empty "
          "value for zeros");
}

TEST_CASE("forward: a declare() that does not end with measure(spec) is refused") {
    const std::string text =
        "declare() does not end with 'measure(spec)', which finds the scratch of forward(); expected it "
        "after "
        "the last state";
    const Instance<Unmeasured<false>> never(1);
    REQUIRE(never.created != 0);
    CHECK(std::string(never.error) == text);
    const Instance<Unmeasured<true>> early(1);
    REQUIRE(early.created != 0);
    CHECK(std::string(early.error) == text);
}

TEST_CASE("forward: what does not fit where it is set is refused") {
    CHECK(refusal<With<SetsWide>>() ==
          "forward() of step 0 sets x' of block 'x' to rows of 3 entries; expected 70");
    CHECK(
        refusal<With<SetsOneRow>>() ==
        "forward() of step 0 sets x' of block 'x' to one row for all; expected a value with a row for each");
}

TEST_CASE("forward: a block that the problem does not have is refused") {
    const std::string text =
        "forward() names a block that the problem does not have; expected numbers from 0 below step.blocks()";
    CHECK(refusal<With<SetsAnotherBlock>>() == text);
    CHECK(refusal<With<ReadsAnotherBlock>>() == text);
    CHECK(refusal<With<ReadsAnotherGradient>>() == text);
}

TEST_CASE("forward: data and parameters that are read as what they are not are refused") {
    const std::string expected =
        "; expected step.data() of what every instance has of its own, step.param() or step.shared_data() of "
        "one "
        "row for all, step.matrix() of a matrix";
    CHECK(refusal<With<SharesA>>() == "forward() of step 0 reads 3 rows where there have to be 0" + expected);
    CHECK(refusal<With<OwnsB>>() == "forward() of step 0 reads 0 rows where there have to be 1" + expected);
    CHECK(refusal<With<RowOfW>>() == "forward() of step 0 reads 3 rows where there have to be 1" + expected);
}

TEST_CASE("forward: the states of a net are set where it is run, once") {
    const Instance<Cell<0>> never(1);
    REQUIRE(never.created != 0);
    CHECK(std::string(never.error) ==
          "forward() of step 0 does not set state 'h'; expected 'step.set(handle, value)', with an empty "
          "value for zeros");
    const Instance<Cell<2>> twice(1);
    REQUIRE(twice.created != 0);
    CHECK(std::string(twice.error) == "forward() of step 0 sets state 'h' twice; expected once");
    const Instance<Cell<3>> elsewhere(1);
    REQUIRE(elsewhere.created != 0);
    CHECK(std::string(elsewhere.error) ==
          "an LSTM of 1 states is run at block 1; expected a block that it has a state of");
}
