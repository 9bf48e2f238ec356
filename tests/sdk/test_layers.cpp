// Optimizers written as forward() alone, seen through the C tables that the glue fills.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/population.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/layers/rows.hpp>
#include <l2o/layers/select.hpp>
#include <limits>
#include <string>
#include <vector>

#include "tests/sdk/one_step.hpp"

namespace {

namespace layers = l2o::layers;
using namespace l2o::test;
using layers::Step, layers::Value;

/// An operation of the test's own: 2 a, which counts.
template <class T>
class Counted final : public layers::Node<T> {
  public:
    static inline int computed = 0, reversed = 0;
    Counted(layers::Tape<T>& tape, Value<T> a)
        : layers::Node<T>(tape, a->is_batched(), a->cols(), a->is_wanted(), false), a_(a) {
        a->use();
    }

  private:
    void compute(const l2o::View<T>& to, T, bool) override {
        ++computed;
        a_->into(to, 2, false);
    }
    void back(const l2o::View<const T>& bar) override {
        ++reversed;
        a_->give(bar, 2);
    }
    Value<T> a_;
};
template <class T>
Value<T> counted(Value<T> a) {
    return Value<T>(a->tape().template add<Counted<T>>(a));
}

/// Inputs of every kind; what is done with them is the case's.
template <class Case>
struct Probe : layers::Layered<Probe<Case>> {
    static constexpr l2o::About about{
        .id = "probe", .version = "1.0.0", .title = "Probe", .doc = "For tests.", .needs = "A,b"};
    l2o::Need a, b;
    l2o::State h, s;
    l2o::Param w, p, q;

    void declare(l2o::OptimizerSpec& spec) {
        if (Case::kReadsG) spec.reads_g();
        a = spec.needs("A"), b = spec.needs("b");
        h = spec.state({.name = "h", .shape = {kN}, .batched = true});
        s = spec.state({.name = "s", .batched = true});
        w = spec.param({.name = "W", .shape = {kM, kN}});
        p = spec.param({.name = "p"});
        q = spec.param({.name = "q", .shape = {kN}});
        this->measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        Case::forward(*this, step);
    }
};

struct Base {
    static constexpr bool kReadsG = true;
};
struct Sums : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> h = step.state(m.h);
        step.set_x(step.x() - (step.g() + T(2) * h));
        step.set(m.h, h - step.x() - step.x() + Value<T>{});
        step.set(m.s, Value<T>{} - step.state(m.s));
    }
};
struct Products : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> r = step.data(m.b) - step.x() * t(step.matrix(m.a));
        step.set_x(r * step.matrix(m.a) + step.g() * t(step.matrix(m.w)) * step.matrix(m.w));
        step.set(m.h, r * step.matrix(m.w));
        step.set(m.s, step.state(m.s));
    }
};
struct Thresholds : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> s = step.state(m.s);
        step.set_x(soft(step.x() + step.g(), step.param(m.p)));
        step.set(m.h, soft(step.state(m.h), s) + soft(step.x(), T(0.5) * step.param(m.p)));
        step.set(m.s, s);
    }
};
struct Moves : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> p = step.param(m.p);
        const Value<T> x = step.set_x(move(step.x(), p, step.g()));
        step.set(m.h, p * (x + step.state(m.h)));
        step.set(m.s, move(step.state(m.s), p, step.state(m.s)));
    }
};
struct Rules : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const auto rule = [](auto x, auto q, auto p, auto s) {
            using std::abs, std::exp, std::log, std::sqrt, std::tanh, std::max, std::min;
            return x * q / (1 + exp(-p)) - tanh(s) * sqrt(1 + x * x) + log(2 + abs(q)) +
                   max(x, p) * min(q, s) + (x > s ? -x : q);
        };
        const Value<T> s = step.state(m.s), p = step.param(m.p), q = step.param(m.q);
        const Value<T> sure = map([](auto p_0) { return p_0 * p_0; }, p);
        step.set_x(map(rule, step.x(), q, sure, s));
        step.set(m.h, map([](auto a, auto c) { return a * c; }, q, step.g()));
        step.set(m.s, map([](auto a, auto c) { return a / (2 + c * c); }, s, p));
    }
};
struct RowSums : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> z = step.x() + step.g();
        const Value<T> size = step.set(
            m.s,
            row_sum(
                [](auto a, auto c, auto d) { return a * a * c + d; }, z, step.param(m.p), step.param(m.q)));
        step.set_x(map([](auto a, auto c) { return a / (1 + c * c); }, z, size));
        step.set(m.h, soft(z, T(0.01) * size));
    }
};
struct Parts : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> z = step.x() + step.g();
        const Value<T> first = columns(z, 0, 1), rest = columns(z, 1, kN - 1);
        step.set(m.h, soft(z, columns(z * t(step.matrix(m.w)), 2, 1)));
        step.set_x(z);
        step.set(m.s, row_sum([](auto a) { return a * a; }, rest) + first);
    }
};
struct Axes : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const l2o::layers::Axis first({10, 7}, 0), second({10, 7}, 1), middle({5, 2, 7}, 1);
        const Value<T> z = step.x() + step.g(), mean = mean_over(z, first);
        step.set(m.h, unit_rows(z + along(mean_over(z, middle), middle), 1e-5));
        step.set_x(map([](auto a, auto b, auto c) { return a * b + c * c; },
                       z,
                       along(mean, first),
                       along(mean_over(z, second), second)));
        step.set(m.s, columns(mean, 6, 1));
    }
};
struct WrongAxis : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(mean_over(step.data(m.b), l2o::layers::Axis({10, 7}, 0)));
    }
};
struct Many : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        Value<T> x = step.x();
        for (int i = 0; i < 100; ++i) x = move(x, step.param(m.p), T(0.01) * step.g());
        step.set_x(x);
        step.set(m.h, step.g());
        step.set(m.s, Value<T>{});
    }
};
/// Whether z is recovered from x' or computed again, its step has the same derivative.
template <bool kRecovers>
struct Selections : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        const Value<T> size = map([](auto p) { return p * p; }, step.param(m.p));
        const Value<T> z = move(step.x(), step.param(m.p), step.g() * t(step.matrix(m.w)) * step.matrix(m.w));
        step.set_x(select(z, size, {.amount = 20, .recovers_z = kRecovers}));
        const Value<T> share = stopped(map([](auto s) { return s / 4 + T(0.3); }, step.state(m.s)));
        step.set(m.h,
                 select(step.state(m.h),
                        step.state(m.s),
                        {.rule = l2o::numerics::SupportRule::kQuantile, .amounts = share}) +
                     select(step.x(), step.param(m.q), {.amount = 10}));
        step.set(m.s, step.state(m.s));
    }
};
struct WrongThresholds : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(select(step.x(), step.data(m.b), {.amount = 10}));
    }
};
struct Counts : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(soft(step.set(m.h, counted(step.x() + step.g())), step.param(m.p)));
        step.set(m.s, step.state(m.s));
    }
};
struct ForgetsG : Base {
    static constexpr bool kReadsG = false;
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(step.g());
        step.set(m.h, Value<T>{}), step.set(m.s, Value<T>{});
    }
};
struct WrongSize : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(step.x() + step.data(m.b));
    }
};
struct WrongColumns : Base {
    template <class M, class T>
    static void forward(const M&, Step<T>& step) {
        step.set_x(columns(step.x(), 2, kN));
    }
};
struct WrongProduct : Base {
    template <class M, class T>
    static void forward(const M& m, Step<T>& step) {
        step.set_x(step.x() * step.matrix(m.w));
    }
};

constexpr std::int64_t kParticles = 3;

enum class Wrong { kNothing, kState, kCount, kNumbers };

/// Operations between the particles of a population, and what cannot be one of three.
template <Wrong kWrong>
struct Swarm : layers::Layered<Swarm<kWrong>> {
    static constexpr l2o::About about{
        .id = "probe", .version = "1.0.0", .title = "Probe", .doc = "For tests.", .needs = "A,b"};
    l2o::State w, s;
    l2o::Param p;

    void declare(l2o::OptimizerSpec& spec) {
        spec.info.particles = kParticles;
        spec.reads_f().reads_g();
        w = spec.state({.name = "w", .shape = {kParticles}, .batched = true, .flags = L2O_SPEC_PER_PARTICLE});
        s = spec.state({.name = "s",
                        .batched = true,
                        .flags = kWrong == Wrong::kState ? 0 : std::uint64_t{L2O_SPEC_PER_PARTICLE}});
        p = spec.param({.name = "p"});
        this->measure(spec);
    }
    template <class T>
    void forward(Step<T>& step) const {
        const Value<T> x = step.x(), f = step.f();
        const Value<T> of_all = of_all_particles(kWrong == Wrong::kNumbers ? x : f, kParticles);
        const Value<T> near = softmax(map([](auto d, auto f_j, auto p_0) { return f_j * p_0 - d / 50; },
                                          squared_distances(x, kParticles),
                                          of_all,
                                          step.param(p)));
        const Value<T> like = T(0.02) * products_of_pairs(step.g(), kWrong == Wrong::kCount ? 2 : kParticles);
        step.set(w, map([](auto a, auto b) { return a * b; }, near, step.state(w)));
        step.set(s, f);
        step.set_x(sum_of_particles(like, x) + sum_of_differences(near, step.g()));
    }
};

}  // namespace

TEST_CASE("layers: the gradient of every operation equals central differences") {
    SUBCASE("sums") { check_gradient<Probe<Sums>>(); }
    SUBCASE("products") { check_gradient<Probe<Products>>(); }
    SUBCASE("soft thresholds, of one number and of one per row") { check_gradient<Probe<Thresholds>>(); }
    SUBCASE("steps along a value") { check_gradient<Probe<Moves>>(); }
    SUBCASE("rules of entries, rows and numbers") { check_gradient<Probe<Rules>>(); }
    SUBCASE("sums over rows") { check_gradient<Probe<RowSums>>(); }
    SUBCASE("support selection, z computed again") { check_gradient<Probe<Selections<false>>>(); }
    SUBCASE("support selection, z recovered") { check_gradient<Probe<Selections<true>>>(); }
    SUBCASE("means along an axis, and rows of unit size") { check_gradient<Probe<Axes>>(); }
    SUBCASE("columns of rows") { check_gradient<Probe<Parts>>(); }
    SUBCASE("more operations than lie on the stack") { check_gradient<Probe<Many>>(); }
    SUBCASE("operations between particles") { check_gradient<Swarm<Wrong::kNothing>>(); }
}

TEST_CASE("layers: means along an axis, and rows of unit size, are what their names say") {
    Instance<Probe<Axes>> it(2);
    it.step();
    const auto &x = it.x.all[0].values, &g = it.g.all[0].values, &h = it.state_out.all[0].values;
    for (std::size_t r = 0; r < 2; ++r) {
        const auto z = [&](std::size_t i) { return x[r * kN + i] + g[r * kN + i]; };
        double squares = 0, mean = 0, mean_of_first = 0;
        for (std::size_t i = 0; i < std::size_t(kN); ++i) {
            squares += h[r * kN + i] * h[r * kN + i] / double(kN);
            if (i % 7 == 6) mean += z(i) / 10;
            if (i < 7) mean_of_first += z(i) / 7;
        }
        CHECK(it.x_out.all[0].values[r * kN + 6] ==
              doctest::Approx(z(6) * mean + mean_of_first * mean_of_first).epsilon(1e-12));
        CHECK(squares == doctest::Approx(1).epsilon(1e-4));
        CHECK(it.state_out.all[1].values[r] == doctest::Approx(mean).epsilon(1e-12));
    }
}

TEST_CASE("layers: between particles, weights that are -inf are 0, and rows of them have none") {
    std::vector<std::byte> memory(1 << 16);
    l2o_call call{};
    call.scratch = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
    call.scratch_bytes = memory.size() - 64;
    l2o::Scratch scratch(call);
    layers::Tape<double> tape(scratch, 3, layers::Pass::kForward);
    const double none = -std::numeric_limits<double>::infinity();
    const double d[]{none, none, none, none, -1e6, none, -3e6, -1e6, none}, at[]{1, 10, 100};
    const auto input = [&](const double* values, std::int64_t cols) {
        return Value<double>(tape.add<layers::detail::Input<double>>(
            true, l2o::View<const double>{values, 3, cols, cols}, l2o::View<double>{}));
    };
    const auto w = softmax(input(d, 3));
    const l2o::View<const double> weights = w->value();
    CHECK(std::vector<double>(weights.data, weights.data + 9) ==
          std::vector<double>{0, 0, 0, 0, 1, 0, 0, 1, 0});
    const l2o::View<const double> sums = sum_of_particles(w, input(at, 1))->value();
    CHECK(std::vector<double>(sums.data, sums.data + 3) == std::vector<double>{0, 10, 10});
    const l2o::View<const double> apart = sum_of_differences(w, input(at, 1))->value();
    CHECK(std::vector<double>(apart.data, apart.data + 3) == std::vector<double>{0, 0, 90});
}

TEST_CASE("layers: what an accumulator gets does not depend on which others are wanted") {
    Instance<Probe<Rules>> it(2), alone(2);
    it.back(false, all);
    for (Arrays Instance<Probe<Rules>>::*arrays : {&Instance<Probe<Rules>>::x_acc,
                                                   &Instance<Probe<Rules>>::g_acc,
                                                   &Instance<Probe<Rules>>::state_acc,
                                                   &Instance<Probe<Rules>>::param_acc})
        for (std::size_t i = 0; i < (it.*arrays).list.size(); ++i) {
            alone.back(false, [&](const l2o_tensor* t) { return t == (alone.*arrays).list[i]; });
            CHECK((alone.*arrays).all[i].values == (it.*arrays).all[i].values);
        }
    alone.back(false, none);
    CHECK(alone.x_acc.all[0].values == std::vector<double>(alone.x_acc.all[0].values.size()));
}

TEST_CASE("layers: a value is computed once in a step, and not again in step_vjp where the host kept it") {
    using Op = Counted<double>;
    Instance<Probe<Counts>> it(2);
    Op::computed = Op::reversed = 0;
    it.step();
    CHECK(Op::computed == 1);
    it.back(true, all);
    CHECK(Op::computed == 1);
    CHECK(Op::reversed == 1);
    it.back(false, all);
    CHECK(Op::computed == 2);
    CHECK(Op::reversed == 2);
    it.back(false, none);
    CHECK(Op::computed == 2);
    CHECK(Op::reversed == 2);
}

TEST_CASE("layers: what forward() cannot mean is refused when the method is created") {
    const auto text = [](auto& it) {
        REQUIRE(it.created != 0);
        return std::string(it.error);
    };
    Instance<Probe<ForgetsG>> forgets(1);
    CHECK(text(forgets) == "a gradient is read that nobody asked for; expected spec.reads_g() in declare()");
    Instance<Probe<WrongSize>> size(1);
    CHECK(text(size) ==
          "a sum of rows of 70 and of 3 entries; expected two of one size, batched both or neither");
    Instance<Probe<WrongThresholds>> thresholds(1);
    CHECK(text(thresholds) ==
          "thresholds of 3 entries for rows of 70; expected one number, or one row for all by percentile");
    Instance<Probe<WrongAxis>> axis(1);
    CHECK(text(axis) == "rows of 3 entries have an axis of 70; expected one of as many");
    Instance<Probe<WrongColumns>> part(1);
    CHECK(text(part) == "columns 2 to 71 are taken of rows of 70 entries; expected some of them");
    Instance<Swarm<Wrong::kState>> state(1);
    CHECK(text(state) ==
          "state 's' is one for a whole population, and forward() computes particle by particle; expected "
          "'.flags = L2O_SPEC_PER_PARTICLE' in declare()");
    Instance<Swarm<Wrong::kCount>> particles(1);
    CHECK(text(particles) ==
          "3 rows are taken as populations of 2; expected the rows of a batch, and as many as the particles "
          "that were declared");
    Instance<Swarm<Wrong::kNumbers>> numbers(1);
    CHECK(text(numbers) == "particles have 70 numbers each; expected one");
    Instance<Probe<WrongProduct>> product(1);
    CHECK(text(product) == "rows of 70 entries are multiplied with a matrix of 3 rows; expected as many");
}
