// Optimizers written as forward() alone, seen through the C tables that the glue fills.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/layers/select.hpp>
#include <string>
#include <vector>

#include "tests/numerics/central_difference.hpp"

namespace {

namespace layers = l2o::layers;
using layers::Step, layers::Value;

constexpr std::int64_t kM = 3, kN = 70;  // more than a tile

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

struct Arrays {
    struct One {
        std::vector<double> values;
        std::vector<std::int64_t> dims;
        l2o_tensor tensor{};
    };
    std::deque<One> all;
    std::vector<l2o_tensor*> list;

    void add(const l2o_spec& spec, std::int64_t batch, double scale) {
        One& one = all.emplace_back();
        if ((spec.flags & L2O_SPEC_BATCHED) != 0) one.dims.push_back(batch);
        one.dims.insert(one.dims.end(), spec.shape, spec.shape + spec.ndim);
        std::size_t count = 1;
        for (const std::int64_t d : one.dims) count *= static_cast<std::size_t>(d);
        one.values = random_normal(count, 17 + all.size() + std::size_t(100 * scale), scale);
        const std::size_t ndim = one.dims.size();
        one.dims.resize(2 * ndim, 1);
        for (std::size_t j = ndim; j-- > 1;) one.dims[ndim + j - 1] = one.dims[ndim + j] * one.dims[j];
        one.tensor.data = one.values.data();
        one.tensor.ndim = static_cast<std::int32_t>(ndim);
        one.tensor.dtype = L2O_DTYPE_F64;
        one.tensor.shape = one.dims.data(), one.tensor.strides = one.dims.data() + ndim;
        list.push_back(&one.tensor);
    }
    [[nodiscard]] l2o_in in() const { return list.data(); }
};

l2o_spec spec_of(const char* name, const std::int64_t* shape, std::int32_t ndim, bool batched) {
    l2o_spec spec{};
    spec.struct_size = sizeof spec, spec.dtype = L2O_DTYPE_F64;
    spec.flags = batched ? L2O_SPEC_BATCHED : 0;
    spec.name = name, spec.doc = "", spec.shape = shape, spec.ndim = ndim;
    return spec;
}

/// A component, and memory for one step of it, scratch as it was declared.
template <class Method>
struct Instance {
    static constexpr const l2o_optimizer_api& kApi = l2o::Optimizer<Method>::kApi;
    const std::int64_t mn[2]{kM, kN};
    const l2o_spec a = spec_of("A", mn, 2, false), b = spec_of("b", mn, 1, true),
                   x_spec = spec_of("x", mn + 1, 1, true);
    const l2o_spec *blocks[1]{&x_spec}, *needs[2]{&a, &b};
    char error[512] = "";
    l2o_call call{};
    l2o_optimizer* optimizer = nullptr;
    l2o_status created = 0;
    std::int64_t batch;
    Arrays data, params, state, x, g, x_out, state_out, x_cot, state_cot, x_acc, g_acc, state_acc, param_acc;
    std::vector<std::byte> memory;

    explicit Instance(std::int64_t rows) : batch(rows) {
        call.err = error, call.err_cap = sizeof error;
        l2o_problem problem{};
        problem.struct_size = sizeof problem;
        problem.n_blocks = 1, problem.n_data = 2, problem.dtype = L2O_DTYPE_F64;
        problem.blocks = blocks, problem.data = needs;
        created = kApi.create(&call, nullptr, 0, &problem, &optimizer);
        if (created != 0) return;
        data.add(a, batch, 0.4), data.add(b, batch, 1);
        for (auto [arrays, scale] :
             {std::pair{&x, 1.0}, {&g, 1.5}, {&x_out, 2}, {&x_cot, 2.5}, {&x_acc, 0}, {&g_acc, 0}})
            arrays->add(x_spec, batch, scale);
        const l2o_optimizer_info& info = *kApi.info(optimizer);
        for (std::uint32_t i = 0; i < info.n_state; ++i)
            for (auto [arrays, scale] :
                 {std::pair{&state, 0.7}, {&state_out, 2}, {&state_cot, 1.2}, {&state_acc, 0}})
                arrays->add(*kApi.state_spec(optimizer, i), batch, scale);
        for (std::uint32_t i = 0; i < info.n_params; ++i) {
            params.add(*kApi.param_spec(optimizer, i), batch, 0.6);
            param_acc.add(*kApi.param_spec(optimizer, i), batch, 0);
        }
        const std::uint64_t bytes = info.scratch_fixed + std::uint64_t(batch) * info.scratch_per_row;
        memory.resize(bytes + 64);
        const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
        call.scratch = memory.data() + (64 - at % 64) % 64;
        call.scratch_bytes = bytes;
    }
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    ~Instance() {
        if (optimizer != nullptr) kApi.destroy(optimizer);
    }
    [[nodiscard]] l2o_step_in in() const {
        l2o_step_in in{};
        in.batch = static_cast<std::uint32_t>(batch);
        in.params = params.in(), in.state = state.in(), in.x = x.in(), in.g = g.in(), in.data = data.in();
        return in;
    }
    l2o_step_out out() {
        l2o_step_out out{};
        out.x = x_out.list.data(), out.state = state_out.list.data();
        return out;
    }
    void step() {
        const l2o_step_in from = in();
        l2o_step_out to = out();
        const l2o_status status = kApi.step(optimizer, &call, &from, &to);
        INFO(error);
        REQUIRE(status == 0);
    }
    /// <cotangents, outputs> after a step.
    double score() {
        step();
        double sum = 0;
        for (const auto& [made, cot] : {std::pair{&x_out, &x_cot}, {&state_out, &state_cot}})
            for (std::size_t i = 0; i < made->all.size(); ++i)
                sum += dot(made->all[i].values, cot->all[i].values);
        return sum;
    }
    /// @param wanted  whether accumulators are given
    void back(bool keeps, const std::function<bool(const l2o_tensor*)>& wanted) {
        for (Arrays* arrays : {&x_acc, &g_acc, &state_acc, &param_acc})
            for (auto& one : arrays->all) std::ranges::fill(one.values, 0.0);
        const auto given = [&](const Arrays& arrays) {
            std::vector<l2o_tensor*> list = arrays.list;
            for (l2o_tensor*& t : list)
                if (!wanted(t)) t = nullptr;
            return list;
        };
        const auto xs = given(x_acc), gs = given(g_acc), states = given(state_acc), ps = given(param_acc);
        const l2o_step_in from = in();
        const l2o_step_out made = out();
        l2o_step_cot cot{};
        cot.x = x_cot.in(), cot.state = state_cot.in();
        l2o_step_acc acc{};
        acc.x = xs.data(), acc.g = gs.data(), acc.state = states.data(), acc.params = ps.data();
        const auto* vjp =
            static_cast<const l2o_optimizer_vjp*>(kApi.get_extension(optimizer, L2O_EXT_OPTIMIZER_VJP));
        const l2o_status status = vjp->step_vjp(optimizer, &call, &from, keeps ? &made : nullptr, &cot, &acc);
        INFO(error);
        REQUIRE(status == 0);
    }
};
bool all(const l2o_tensor*) { return true; }
bool none(const l2o_tensor*) { return false; }

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

template <class Case>
void check_gradient() {
    for (const bool keeps : {false, true}) {
        Instance<Probe<Case>> it(3);
        REQUIRE(it.created == 0);
        it.step();
        it.back(keeps, all);
        for (auto [of, got] : {std::pair{&it.x, &it.x_acc},
                               {&it.g, &it.g_acc},
                               {&it.state, &it.state_acc},
                               {&it.params, &it.param_acc}})
            for (std::size_t i = 0; i < of->all.size(); ++i) {
                const auto want = central_difference([&] { return it.score(); }, of->all[i].values);
                CAPTURE(keeps);
                CAPTURE(i);
                double error = 0;
                for (std::size_t j = 0; j < want.size(); ++j)
                    error = std::max(error, std::abs(want[j] - got->all[i].values[j]));
                CHECK(error < 1e-6);
            }
    }
}

}  // namespace

TEST_CASE("layers: the gradient of every operation equals central differences") {
    SUBCASE("sums") { check_gradient<Sums>(); }
    SUBCASE("products") { check_gradient<Products>(); }
    SUBCASE("soft thresholds, of one number and of one per row") { check_gradient<Thresholds>(); }
    SUBCASE("steps along a value") { check_gradient<Moves>(); }
    SUBCASE("rules of entries, rows and numbers") { check_gradient<Rules>(); }
    SUBCASE("sums over rows") { check_gradient<RowSums>(); }
    SUBCASE("support selection, z computed again") { check_gradient<Selections<false>>(); }
    SUBCASE("support selection, z recovered") { check_gradient<Selections<true>>(); }
    SUBCASE("columns of rows") { check_gradient<Parts>(); }
    SUBCASE("more operations than lie on the stack") { check_gradient<Many>(); }
}

TEST_CASE("layers: what an accumulator gets does not depend on which others are wanted") {
    Instance<Probe<Rules>> it(2);
    it.back(false, all);
    const std::vector<double> want = it.param_acc.all[2].values;
    it.back(false, [&](const l2o_tensor* t) { return t == it.param_acc.list[2]; });
    CHECK(it.param_acc.all[2].values == want);
    CHECK(it.x_acc.all[0].values == std::vector<double>(it.x_acc.all[0].values.size()));
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
    Instance<Probe<WrongColumns>> part(1);
    CHECK(text(part) == "columns 2 to 71 are taken of rows of 70 entries; expected some of them");
    Instance<Probe<WrongProduct>> product(1);
    CHECK(text(product) == "rows of 70 entries are multiplied with a matrix of 3 rows; expected as many");
}
