// The C headers, compiled as C99 in c_*.c, seen through the tables that they fill and beside the C++ they
// mirror.
#include <doctest/doctest.h>
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/c/problem.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <l2o/sdk/view.hpp>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "in_c.h"

namespace {

/// A tensor and its memory, zero; rows are `pad` elements further apart than they are long.
template <class T>
struct Held {
    explicit Held(std::vector<std::int64_t> shape_, std::int64_t pad = 0)
        : shape(std::move(shape_)), strides(shape.size(), 1) {
        for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
        if (!shape.empty()) strides[0] += pad;
        data.resize(static_cast<std::size_t>(shape.empty() ? 1 : shape[0] * strides[0]));
        tensor.data = data.data();
        tensor.device_type = 1;
        tensor.ndim = static_cast<std::int32_t>(shape.size());
        tensor.dtype = l2o::dtype_of<T>();
        tensor.shape = shape.data();
        tensor.strides = strides.data();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    std::vector<std::int64_t> shape, strides;
    std::vector<T> data;
    l2o_tensor tensor{};
};

struct Call {
    Call() {
        call.err = text;
        call.err_cap = sizeof text;
        call.key[0] = 3;
        call.key[1] = 4;
    }
    char text[200] = "";
    l2o_call call{};
};

l2o_value value(std::int32_t type, std::int64_t i, double d = 0) {
    return {.struct_size = sizeof(l2o_value),
            .type = type,
            .i = i,
            .d = d,
            .s = nullptr,
            .iv = nullptr,
            .dv = nullptr,
            .count = 0};
}

/// A struct of `size` bytes, as a host of another minor gives it: AddressSanitizer sees who reads on, and
/// behind what this header knows are pointers to nowhere.
template <class S>
class Sized {
  public:
    Sized(S given, std::size_t size) : memory_(size, std::byte{0xA5}) {
        given.struct_size = static_cast<std::uint32_t>(size);
        std::memcpy(memory_.data(), &given, std::min(size, sizeof given));
    }
    [[nodiscard]] const S* get() const { return reinterpret_cast<const S*>(memory_.data()); }

  private:
    std::vector<std::byte> memory_;
};
template <class S>
constexpr std::size_t kLonger = sizeof(S) + 64;

template <class Api>
const Api& api_of(const l2o_plugin* plugin) {
    return *static_cast<const Api*>(plugin->components[0]->api);
}

const l2o_optimizer_api& optimizer() { return api_of<l2o_optimizer_api>(l2o_test_c_optimizer()); }
const l2o_optimizee_api& optimizee() { return api_of<l2o_optimizee_api>(l2o_test_c_optimizee()); }
const l2o_loss_api& loss() { return api_of<l2o_loss_api>(l2o_test_c_loss()); }

/// Values of the optimizer's options, and a problem of two blocks, that are gone after create.
struct OptimizerSetup {
    OptimizerSetup() {
        for (l2o_spec* block : {&x, &y}) {
            block->dtype = L2O_DTYPE_F32;
            block->flags = L2O_SPEC_BATCHED;
        }
        x.name = "x";
        x.shape = &size;
        x.ndim = 1;
        y.name = "y";
    }
    l2o_status create(l2o_optimizer** out) {
        std::string choice = "three", text = "abcd", path = "/a/file";
        std::vector<std::int64_t> ints{10, 20};
        std::vector<double> reals{0.25};
        l2o_value values[] = {value(L2O_OPTION_REAL, 0, 0.5),
                              value(L2O_OPTION_INT, 1),
                              value(L2O_OPTION_BOOL, 1),
                              value(L2O_OPTION_CHOICE, 2),
                              value(L2O_OPTION_INTS, 0),
                              value(L2O_OPTION_REALS, 0),
                              value(L2O_OPTION_TEXT, 0),
                              value(L2O_OPTION_PATH, 0)};
        values[3].s = choice.c_str();
        values[4].iv = ints.data();
        values[4].count = ints.size();
        values[5].dv = reals.data();
        values[5].count = reals.size();
        values[6].s = text.c_str();
        values[7].s = path.c_str();
        std::vector<const l2o_value*> list;
        for (const l2o_value& v : values) list.push_back(&v);
        const Sized given_x(x, spec_size), given_y(y, spec_size);
        const l2o_spec* blocks[] = {given_x.get(), given_y.get()};
        l2o_problem problem{};
        problem.n_blocks = 2;
        problem.dtype = dtype;
        problem.blocks = blocks;
        problem.answers = answers;
        problem.max_evaluations = max_evaluations;
        return optimizer().create(&call.call, list.data(), n_values, Sized(problem, problem_size).get(), out);
    }
    Call call;
    std::int64_t size = 3;
    l2o_spec x{}, y{};
    std::uint32_t dtype = L2O_DTYPE_F32, answers = L2O_ORACLE_VALUE, n_values = 8;
    std::int64_t max_evaluations = 0;
    std::size_t problem_size = sizeof(l2o_problem), spec_size = sizeof(l2o_spec);
};

std::string refusal(OptimizerSetup& setup, l2o_status expected) {
    l2o_optimizer* none = nullptr;
    CHECK(setup.create(&none) == expected);
    CHECK(none == nullptr);
    return setup.call.text;
}

struct OptimizeeSetup {
    explicit OptimizeeSetup(std::uint32_t dtype = L2O_DTYPE_F64,
                            std::size_t setting_size = sizeof(l2o_optimizee_setting),
                            std::int64_t n_rows = 2) {
        const l2o_value rows = value(L2O_OPTION_INT, n_rows), row = value(L2O_OPTION_INT, 3);
        const l2o_value* const values[] = {&rows, &row};
        const Sized setting(l2o_optimizee_setting{0, dtype}, setting_size);
        status = optimizee().create(&call.call, values, 2, setting.get(), &instance);
    }
    ~OptimizeeSetup() {
        if (instance != nullptr) optimizee().destroy(instance);
    }
    OptimizeeSetup(const OptimizeeSetup&) = delete;
    OptimizeeSetup& operator=(const OptimizeeSetup&) = delete;

    Call call;
    l2o_optimizee* instance = nullptr;
    l2o_status status = L2O_STATUS_OK;
};

std::vector<std::int64_t> shape(const l2o_spec* spec) { return {spec->shape, spec->shape + spec->ndim}; }

}  // namespace

TEST_CASE("philox.h draws the bits of l2o::numerics::Stream, whatever is drawn in between") {
    const std::uint64_t key[] = {0x0123456789abcdef, 0xfedcba9876543210};
    std::vector<int> kinds;
    for (std::uint32_t i = 0; i < 3000; ++i) kinds.push_back(static_cast<int>((i * 2654435761U >> 16) % 6));
    for (int kind = 0; kind < 6; ++kind) REQUIRE(std::count(kinds.begin(), kinds.end(), kind) > 100);
    for (const std::uint64_t row : {std::uint64_t{0}, std::uint64_t{1} << 40}) {
        for (const std::uint32_t purpose : {0U, 0x20001U}) {
            std::vector<std::uint64_t> in_c(kinds.size()), expected;
            l2o_test_draws(
                key, row, purpose, kinds.data(), static_cast<std::uint32_t>(kinds.size()), in_c.data());
            l2o::numerics::Stream stream(key, row, purpose);
            for (const int kind : kinds) {
                expected.push_back(kind == 0   ? stream.bits()
                                   : kind == 1 ? stream.bits64()
                                   : kind == 2 ? std::bit_cast<std::uint64_t>(stream.uniform())
                                   : kind == 3 ? std::bit_cast<std::uint64_t>(double{stream.uniform<float>()})
                                   : kind == 4 ? std::bit_cast<std::uint64_t>(stream.normal())
                                               : stream.below(10));
            }
            CHECK(in_c == expected);
        }
    }
}

TEST_CASE("an optimizer in C: its library says who it is, and what its options are") {
    const l2o_plugin* plugin = l2o_test_c_optimizer();
    CHECK(plugin->magic == L2O_MAGIC);
    CHECK(plugin->built_major == L2O_ABI_MAJOR);
    CHECK(plugin->id == std::string("in_c"));
    CHECK(plugin->vendor == std::string("Example"));
    REQUIRE(plugin->n_components == 1);
    const l2o_component& component = *plugin->components[0];
    CHECK(component.kind == std::string(L2O_KIND_OPTIMIZER));
    CHECK(component.needs == std::string("A,b?"));
    CHECK(component.tags[0] == std::string("small"));
    CHECK(component.tags[1] == nullptr);
    REQUIRE(component.n_options == 8);
    const l2o_option& real = *component.options[0];
    CHECK(real.type == L2O_OPTION_REAL);
    CHECK(real.flags == L2O_OPTION_OPEN_MIN);
    CHECK(real.min == 0);
    CHECK(real.max == 1);
    CHECK(real.def == std::string("0.5"));
    const l2o_option& choice = *component.options[3];
    CHECK(choice.type == L2O_OPTION_CHOICE);
    CHECK(choice.choices[2] == std::string("three"));
    CHECK(choice.choices[3] == nullptr);
    CHECK(component.options[7]->def == nullptr);
    CHECK(component.options[7]->flags == L2O_OPTION_REQUIRED);
    CHECK(l2o_test_c_optimizer() == plugin);
}

TEST_CASE("an optimizer in C: a state per block, its options when those of the host are gone") {
    OptimizerSetup setup;
    l2o_optimizer* instance = nullptr;
    REQUIRE(setup.create(&instance) == L2O_STATUS_OK);
    setup.size = 0;  // the problem is gone too
    const l2o_optimizer_info& info = *optimizer().info(instance);
    CHECK(info.struct_size == sizeof info);
    CHECK(info.flags == L2O_FLAG_DETERMINISTIC);
    CHECK(info.reads == L2O_ORACLE_GRADIENT);
    CHECK(info.max_questions == 1);
    REQUIRE(info.n_state == 4);
    CHECK(optimizer().param_spec(instance, 0) == nullptr);
    CHECK(optimizer().state_spec(instance, 4) == nullptr);
    const l2o_spec& v_x = *optimizer().state_spec(instance, 2);
    CHECK(v_x.name == std::string("v.x"));
    CHECK(v_x.flags == L2O_SPEC_BATCHED);
    CHECK(v_x.block == 1);
    CHECK(shape(&v_x) == std::vector<std::int64_t>{3});
    const l2o_spec& u_y = *optimizer().state_spec(instance, 1);
    CHECK(u_y.name == std::string("u.y"));
    CHECK(u_y.block == 2);
    CHECK(shape(&u_y).empty());

    Held<float> x({2, 3}, 5), y({2}), u_x({2, 3}), u_y0({2}), v_x0({2, 3}, 1), v_y({2}), x1({2, 3}, 2),
        y1({2}), v_x1({2, 3}), v_y1({2});
    v_x0.data.assign(v_x0.data.size(), 9);
    const l2o_tensor *const xs[] = {&x.tensor, &y.tensor}, *const states[] = {&u_x.tensor,
                                                                              &u_y0.tensor,
                                                                              &v_x0.tensor,
                                                                              &v_y.tensor};
    l2o_tensor *const new_xs[] = {&x1.tensor, &y1.tensor}, *const new_states[] = {&u_x.tensor,
                                                                                  &u_y0.tensor,
                                                                                  &v_x1.tensor,
                                                                                  &v_y1.tensor};
    l2o_tensor* const start[] = {&u_x.tensor, &u_y0.tensor, &v_x0.tensor, &v_y.tensor};
    l2o_step_in in{};
    in.batch = 2;
    in.x = xs;
    CHECK(optimizer().init_state(instance, &setup.call.call, &in, start) == L2O_STATUS_OK);
    CHECK(v_x0.data == std::vector<float>{0, 0, 0, 9, 0, 0, 0, 9});
    in.state = states;
    l2o_step_out out{};
    out.x = new_xs;
    out.state = new_states;
    CHECK(optimizer().step(instance, &setup.call.call, &in, &out) == L2O_STATUS_OK);
    // 0.5 + 1 + 1 + 2, 10 + 20, 0.25, and the lengths of three, abcd, /a/file
    CHECK(y1.data == std::vector<float>{-50.75F, -50.75F});
    CHECK(x1.data[2] == -50.75F);
    CHECK(x1.data[3] == 0);  // padding
    CHECK(v_x1.data == std::vector<float>(6, 1));
    CHECK(out.n_questions == 0);
    optimizer().destroy(instance);
}

TEST_CASE("an optimizer in C refuses what it cannot do, in a sentence") {
    OptimizerSetup maximised, dtype, silent, schema;
    maximised.y.flags |= L2O_SPEC_MAXIMISED;
    CHECK(refusal(maximised, L2O_STATUS_UNSUPPORTED).starts_with("block 'y' is to be maximised"));
    dtype.dtype = L2O_DTYPE_F64;
    CHECK(refusal(dtype, L2O_STATUS_UNSUPPORTED) == "in_c does not compute in this element type");
    silent.answers = L2O_ORACLE_GRADIENT;
    CHECK(refusal(silent, L2O_STATUS_UNSUPPORTED).ends_with("the problem does not answer such questions"));
    schema.n_values = 7;
    CHECK(refusal(schema, L2O_STATUS_INVALID) == "the host passed 7 option values; expected 8");
}

TEST_CASE("a loss in C refuses a problem that it is not made for, with its options at hand") {
    Call call;
    const l2o_value scale = value(L2O_OPTION_REAL, 0, 2.5);
    const l2o_value* const values[] = {&scale};
    l2o_spec x{}, v{};
    x.struct_size = v.struct_size = sizeof(l2o_spec);
    x.name = "x";
    v.name = "v";
    const l2o_spec* const blocks[] = {&x, &v};
    l2o_problem problem{};
    problem.struct_size = sizeof problem;
    problem.n_blocks = 2;
    problem.blocks = blocks;
    l2o_loss* instance = nullptr;
    CHECK(loss().create(&call.call, values, 1, &problem, &instance) == L2O_STATUS_OK);
    loss().destroy(std::exchange(instance, nullptr));
    v.flags = L2O_SPEC_MAXIMISED;
    CHECK(loss().create(&call.call, values, 1, &problem, &instance) == L2O_STATUS_UNSUPPORTED);
    CHECK(instance == nullptr);
    CHECK(call.text == std::string("block 'v' is to be maximised, and 2.5 f is not its score"));
}

TEST_CASE(
    "an optimizer and an optimizee in C refuse what they are not made for, with their options at hand") {
    OptimizerSetup one, two;
    one.max_evaluations = 1;
    CHECK(refusal(one, L2O_STATUS_UNSUPPORTED) ==
          "a budget of 1 evaluations; expected more than int, which is 1");
    two.max_evaluations = 2;
    l2o_optimizer* instance = nullptr;
    CHECK(two.create(&instance) == L2O_STATUS_OK);
    optimizer().destroy(instance);

    const OptimizeeSetup tall(L2O_DTYPE_F64, sizeof(l2o_optimizee_setting), 4);
    CHECK(tall.status == L2O_STATUS_UNSUPPORTED);
    CHECK(tall.instance == nullptr);
    CHECK(tall.call.text == std::string("rows is 4; expected at most row, which is 3"));
}

TEST_CASE("a loss in C: structs of a host that knows less of them, and of one that knows more") {
    Call call;
    for (const bool is_longer : {false, true}) {
        const Sized problem(l2o_problem{}, is_longer ? kLonger<l2o_problem> : offsetof(l2o_problem, blocks));
        auto scale = std::make_unique<const Sized<l2o_value>>(
            value(L2O_OPTION_REAL, 0, 10), is_longer ? kLonger<l2o_value> : offsetof(l2o_value, s));
        const l2o_value* const values[] = {scale->get()};
        l2o_loss* instance = nullptr;
        CHECK(loss().create(&call.call, values, 1, problem.get(), &instance) == L2O_STATUS_OK);
        scale.reset();
        Held<double> f({1, 1}), per_row({1});
        f.data = {2};
        l2o_trajectory trajectory{};
        trajectory.batch = 1;
        trajectory.len = 1;
        trajectory.f = &f.tensor;
        CHECK(loss().eval(instance, &call.call, &trajectory, &per_row.tensor) == L2O_STATUS_OK);
        CHECK(per_row.data == std::vector<double>{20});
        loss().destroy(instance);
    }
}

TEST_CASE(
    "a problem in C: of a host that knows less of it what is absent is 0, of one that knows more all is") {
    Call call;
    for (const bool is_longer : {false, true}) {
        l2o_spec described{};
        described.dtype = L2O_DTYPE_F32;
        described.flags = L2O_SPEC_BATCHED | L2O_SPEC_BOUNDED;
        described.lower = -2;
        described.upper = 3;
        const Sized spec(described, is_longer ? kLonger<l2o_spec> : offsetof(l2o_spec, lower));
        const l2o_spec *const blocks[] = {spec.get(), spec.get()}, *const data[] = {nullptr, spec.get()};
        l2o_problem problem{};
        problem.n_blocks = problem.n_data = 2;
        problem.blocks = blocks;
        problem.data = data;
        problem.horizon = 7;
        problem.max_evaluations = 9;
        const Sized given(problem, is_longer ? kLonger<l2o_problem> : offsetof(l2o_problem, max_evaluations));
        l2o_c_problem own;
        REQUIRE(l2o_c_take_problem(&call.call, given.get(), &own) == L2O_STATUS_OK);
        CHECK(own.abi.struct_size == sizeof own.abi);
        CHECK(own.abi.horizon == 7);
        CHECK(own.abi.max_evaluations == (is_longer ? 9 : 0));
        CHECK(own.abi.data[0] == nullptr);
        for (const l2o_spec* taken : {own.abi.blocks[0], own.abi.blocks[1], own.abi.data[1]}) {
            CHECK(taken->struct_size == sizeof *taken);
            CHECK(taken->dtype == L2O_DTYPE_F32);
            CHECK(taken->lower == (is_longer ? -2 : 0));
            CHECK(taken->upper == (is_longer ? 3 : 0));
        }
        l2o_c_drop_problem(&own);
    }
}

TEST_CASE("an optimizer in C: a problem of a host that knows less of it, and of one that knows more") {
    OptimizerSetup longer, shorter, too_short;
    longer.problem_size = kLonger<l2o_problem>;
    longer.spec_size = kLonger<l2o_spec>;
    shorter.problem_size = offsetof(l2o_problem, horizon);
    shorter.spec_size = offsetof(l2o_spec, layer);
    for (OptimizerSetup* setup : {&longer, &shorter}) {
        l2o_optimizer* instance = nullptr;
        REQUIRE(setup->create(&instance) == L2O_STATUS_OK);
        const l2o_spec& v_x = *optimizer().state_spec(instance, 2);
        CHECK(v_x.name == std::string("v.x"));
        CHECK(shape(&v_x) == std::vector<std::int64_t>{3});
        optimizer().destroy(instance);
    }
    too_short.problem_size = offsetof(l2o_problem, answers);
    CHECK(refusal(too_short, L2O_STATUS_UNSUPPORTED).ends_with("the problem does not answer such questions"));
}

TEST_CASE("an optimizee in C: a setting of a host that knows more of it, and one that ends too early") {
    const OptimizeeSetup longer(L2O_DTYPE_F64, kLonger<l2o_optimizee_setting>);
    REQUIRE(longer.status == L2O_STATUS_OK);
    CHECK(optimizee().block_spec(longer.instance, 0)->dtype == L2O_DTYPE_F64);
    const OptimizeeSetup cut(L2O_DTYPE_F64, offsetof(l2o_optimizee_setting, dtype));
    CHECK(cut.status == L2O_STATUS_UNSUPPORTED);
    CHECK(cut.call.text == std::string("in_c computes in float32 or float64 only"));
}

TEST_CASE("an optimizee in C: shapes come from the options that its axes are called like") {
    const OptimizeeSetup setup(L2O_DTYPE_F32);
    REQUIRE(setup.status == L2O_STATUS_OK);
    const l2o_optimizee_info& info = *optimizee().info(setup.instance);
    CHECK(info.n_blocks == 2);
    CHECK(info.n_data == 3);
    CHECK(info.n_metrics == 1);
    CHECK(info.answers == (L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT));
    CHECK(info.cost_gradient == 2);
    const l2o_spec& x = *optimizee().block_spec(setup.instance, 0);
    CHECK(shape(&x) == std::vector<std::int64_t>{3});
    CHECK(x.flags == L2O_SPEC_BATCHED);
    CHECK(x.dtype == L2O_DTYPE_F32);
    const l2o_spec& y = *optimizee().block_spec(setup.instance, 1);
    CHECK(shape(&y).empty());
    CHECK(y.lower == -1);
    CHECK(y.upper == std::numeric_limits<double>::infinity());
    CHECK(optimizee().block_spec(setup.instance, 2) == nullptr);
    const l2o_spec& a = *optimizee().data_spec(setup.instance, 0);
    CHECK(shape(&a) == std::vector<std::int64_t>{2, 3});
    CHECK(a.flags == 0);
    CHECK(optimizee().data_spec(setup.instance, 1)->dtype == L2O_DTYPE_I64);
    CHECK(shape(optimizee().data_spec(setup.instance, 2)) == std::vector<std::int64_t>{5});
    const l2o_spec& share = *optimizee().metric_spec(setup.instance, 0);
    CHECK(share.flags == (L2O_SPEC_BATCHED | L2O_SPEC_RATIO));
    CHECK(shape(&share) == std::vector<std::int64_t>{2});
    CHECK(!optimizee().hvp);

    const OptimizeeSetup integers(L2O_DTYPE_I32);
    CHECK(integers.status == L2O_STATUS_UNSUPPORTED);
    CHECK(integers.call.text == std::string("in_c computes in float32 or float64 only"));
}

TEST_CASE("an optimizee in C: samples, starts at zero, and leaves out what is not wanted") {
    OptimizeeSetup setup;
    Held<double> a({2, 3}), x({4, 3}, 1), y({4}), f({4}), g_y({4});
    Held<std::int64_t> b({2});
    l2o_tensor* const data[] = {&a.tensor, &b.tensor, nullptr};
    CHECK(optimizee().sample(setup.instance, &setup.call.call, L2O_SPLIT_TEST, 11, 2, data) == L2O_STATUS_OK);
    CHECK(b.data == std::vector<std::int64_t>{11, 12});
    l2o::numerics::Stream stream(
        setup.call.call.key, 0, l2o::Draw{setup.call.call, L2O_SPLIT_TEST, 0, 1}.purpose(0));
    double sum = 0;
    for (const double entry : a.data) {
        CHECK(entry == stream.normal());
        sum += entry;
    }
    x.data.assign(x.data.size(), 5);
    l2o_tensor* const xs[] = {&x.tensor, &y.tensor};
    CHECK(optimizee().init_point(setup.instance, &setup.call.call, 4, data, xs) == L2O_STATUS_OK);
    CHECK(x.data[2] == 0);
    CHECK(x.data[3] == 5);  // padding
    y.data = {0, 1, 0, 1};

    l2o_points points{};
    points.batch = 4;
    points.rows_per_instance = 2;
    points.data = data;
    points.x = xs;
    l2o_tensor* const gs[] = {nullptr, &g_y.tensor};
    const l2o_eval_out values{&f.tensor, nullptr}, gradients{nullptr, gs};
    CHECK(optimizee().eval(setup.instance, &setup.call.call, &points, &values) == L2O_STATUS_OK);
    CHECK(f.data == std::vector<double>{sum * -11, sum * -10, sum * -12, sum * -11});
    CHECK(optimizee().eval(setup.instance, &setup.call.call, &points, &gradients) == L2O_STATUS_OK);
    CHECK(g_y.data == std::vector<double>(4, sum));
    points.batch = 0;
    CHECK(optimizee().eval(setup.instance, &setup.call.call, &points, &values) == L2O_STATUS_INVALID);
    CHECK(setup.call.text == std::string("0 rows; expected some"));
}

TEST_CASE("a loss in C: scores rows of a trajectory and adds to the cotangents") {
    Call call;
    const l2o_value scale = value(L2O_OPTION_REAL, 0, 10);
    const l2o_value* const values[] = {&scale};
    const l2o_problem problem{};
    l2o_loss* instance = nullptr;
    REQUIRE(loss().create(&call.call, values, 1, &problem, &instance) == L2O_STATUS_OK);
    CHECK(loss().info(instance)->reads == L2O_LOSS_READS_F);
    CHECK(loss().info(instance)->flags == (L2O_FLAG_DETERMINISTIC | L2O_LOSS_ADDITIVE));
    Held<float> f({3, 2}), per_row({2}), cot({2}), acc_f({3, 2});
    f.data = {1, 2, 3, 4, 5, 6};
    per_row.data = {7, 7};
    cot.data = {1, -1};
    acc_f.data.assign(6, 100);
    l2o_trajectory trajectory{};
    trajectory.batch = 2;
    trajectory.len = 3;
    trajectory.f = &f.tensor;
    CHECK(loss().eval(instance, &call.call, &trajectory, &per_row.tensor) == L2O_STATUS_OK);
    CHECK(per_row.data == std::vector<float>{90, 120});
    l2o_trajectory_acc acc{};
    CHECK(loss().vjp(instance, &call.call, &trajectory, &cot.tensor, &acc) == L2O_STATUS_OK);
    acc.f = &acc_f.tensor;
    CHECK(loss().vjp(instance, &call.call, &trajectory, &cot.tensor, &acc) == L2O_STATUS_OK);
    CHECK(acc_f.data == std::vector<float>{110, 90, 110, 90, 110, 90});
    loss().destroy(instance);
}
