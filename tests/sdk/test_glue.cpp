// The C++ glue seen through the C tables that it fills.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// Fails as it is told, in step; has an option of every type.
struct Probe {
    static constexpr l2o::About about{.id = "probe",
                                      .version = "1.2.3",
                                      .title = "Probe",
                                      .doc = "For tests.",
                                      .license = "MIT",
                                      .vendor = "Me",
                                      .needs = "A,b?"};
    enum class Colour { kRed, kGreen };

    double rate = 0.25;
    std::int64_t failure = 3;
    bool loud = true;
    Colour colour = Colour::kGreen;
    std::vector<std::int64_t> sizes{20, 30};
    std::string file = "weights", label = "a, b";
    std::vector<double> decays{0.1, 1e-3};
    double must = 0;

    static l2o::Options<Probe> options() {
        l2o::Options<Probe> options;
        options.real("rate", &Probe::rate, "a number", l2o::kFraction)
            .integer("failure", &Probe::failure, "how step ends", l2o::between(0, 9))
            .flag("loud", &Probe::loud, "a switch")
            .choice("colour", &Probe::colour, {"red", "green"}, "a word")
            .integers("sizes", &Probe::sizes, "numbers")
            .path("file", &Probe::file, "a file")
            .text("label", &Probe::label, "any text")
            .reals("decays", &Probe::decays, "some numbers", l2o::kFraction)
            .real("must", &Probe::must, "no default", l2o::kPositive)
            .required();
        return options;
    }
    void declare(l2o::OptimizerSpec& spec) {
        if (failure == 8) l2o::refuse(label + " " + std::to_string(decays.size()));
        if (failure == 9) l2o::refuse("nine is refused");
        spec.state_like_x("m");
    }
    template <class T>
    void step(const l2o::StepIn<T>&, const l2o::StepOut<T>&) const {
        switch (failure) {
            case 1:
                throw l2o::Failure(L2O_STATUS_NUMERICAL, "it diverged");
            case 2:
                throw std::bad_alloc();
            case 3:
                throw std::runtime_error("it broke");
            case 4:
                throw 42;
            case 5:
                throw std::invalid_argument("it was asked wrongly");
            default:
                break;
        }
    }
};

/// The same with a derivative.
struct Differentiable : Probe {
    static constexpr l2o::About about{.id = "differentiable", .version = "1.0.0", .title = "", .doc = ""};
    static l2o::Options<Differentiable> options() { return {}; }
    template <class T>
    void step_vjp(const l2o::StepIn<T>&, const l2o::StepCot<T>&, const l2o::StepAcc<T>&) const {}
};

const l2o_option& option(const char* key) {
    const l2o_component* component = l2o::detail::component<l2o::Optimizer<Probe>>();
    for (std::uint32_t i = 0; i < component->n_options; ++i) {
        if (std::strcmp(component->options[i]->key, key) == 0) return *component->options[i];
    }
    throw std::invalid_argument(key);
}

/// It has a parameter, and nothing to start it.
struct Unstarted : Probe {
    static constexpr l2o::About about{.id = "unstarted", .version = "1.0.0", .title = "", .doc = ""};
    static l2o::Options<Unstarted> options() { return {}; }
    void declare(l2o::OptimizerSpec& spec) { spec.param({.name = "eta"}); }
};

/// A Probe that fails as told, on a problem with one block [2].
struct Host {
    std::int64_t two = 2, shape[2] = {1, 2}, strides[2] = {2, 1};
    l2o_spec block{};
    const l2o_spec* blocks[1] = {&block};
    const l2o_spec* data[2] = {nullptr, nullptr};
    l2o_problem problem{};
    char err[32] = "untouched";
    l2o_call call{};
    l2o_optimizer* optimizer = nullptr;
    const l2o_optimizer_api& api = l2o::Optimizer<Probe>::kApi;

    Host() {
        block.struct_size = sizeof block;
        block.name = "x";
        block.dtype = L2O_DTYPE_F64;
        block.ndim = 1;
        block.flags = L2O_SPEC_BATCHED;
        block.shape = &two;
        problem.struct_size = sizeof problem;
        problem.n_blocks = 1;
        problem.n_data = 2;
        problem.blocks = blocks;
        problem.data = data;
        problem.dtype = L2O_DTYPE_F64;
        call.err = err;
        call.err_cap = sizeof err;
    }
    ~Host() {
        if (optimizer != nullptr) api.destroy(optimizer);
    }
    l2o_status create(std::int64_t failure, std::uint32_t count = 9) {
        const double decays[2] = {0.5, 0.25};
        l2o_value values[9]{};
        for (l2o_value& value : values) value.struct_size = sizeof value;
        values[1].i = failure;
        values[5].s = "";
        values[6].s = "c";
        values[7].dv = decays;
        values[7].count = 2;
        const l2o_value* pointers[9];
        for (int i = 0; i < 9; ++i) pointers[i] = &values[i];
        return api.create(&call, pointers, count, &problem, &optimizer);
    }
    l2o_tensor tensor(double* numbers) {
        l2o_tensor out{};
        out.data = numbers;
        out.device_type = 1;
        out.ndim = 2;
        out.dtype = L2O_DTYPE_F64;
        out.shape = shape;
        out.strides = strides;
        return out;
    }
    l2o_status step() {
        const l2o_step_in in{};
        l2o_step_out out{};
        return api.step(optimizer, &call, &in, &out);
    }
};

}  // namespace

TEST_CASE("the default of an option is the initial value of its member") {
    CHECK(std::string(option("rate").def) == "0.25");
    CHECK(std::string(option("failure").def) == "3");
    CHECK(std::string(option("loud").def) == "true");
    CHECK(std::string(option("colour").def) == "green");
    CHECK(std::string(option("sizes").def) == "20,30");
    CHECK(std::string(option("file").def) == "weights");
    CHECK(std::string(option("label").def) == "a, b");
    CHECK(std::string(option("decays").def) == "0.1,0.001");
    CHECK(option("must").def == nullptr);
    CHECK(option("must").flags == (L2O_OPTION_REQUIRED | L2O_OPTION_OPEN_MIN));
}

TEST_CASE("the schema says type, range and choices") {
    CHECK(option("rate").type == L2O_OPTION_REAL);
    CHECK(option("rate").max == 1);
    CHECK(option("rate").flags == L2O_OPTION_OPEN_MAX);
    CHECK(option("sizes").type == L2O_OPTION_INTS);
    CHECK(option("sizes").max == l2o::kInfinity);
    CHECK(option("file").type == L2O_OPTION_PATH);
    CHECK(option("label").type == L2O_OPTION_TEXT);
    CHECK(option("decays").type == L2O_OPTION_REALS);
    CHECK(option("decays").max == 1);
    CHECK(option("decays").flags == L2O_OPTION_OPEN_MAX);
    CHECK(std::string(option("colour").choices[0]) == "red");
    CHECK(option("colour").choices[2] == nullptr);
    CHECK(option("rate").choices == nullptr);
}

TEST_CASE("a text and a list of numbers arrive in their members") {
    Host host;
    CHECK(host.create(8) == L2O_STATUS_UNSUPPORTED);
    CHECK(std::string(host.err) == "c 2");
}

TEST_CASE("an exception inside step becomes a status with its text") {
    struct Case {
        std::int64_t failure;
        l2o_status status;
        const char* text;
    };
    for (const Case& expected : {Case{0, L2O_STATUS_OK, "untouched"},
                                 Case{1, L2O_STATUS_NUMERICAL, "it diverged"},
                                 Case{2, L2O_STATUS_NOMEM, "out of memory"},
                                 Case{3, L2O_STATUS_INTERNAL, "it broke"},
                                 Case{4, L2O_STATUS_INTERNAL, "unknown exception"},
                                 Case{5, L2O_STATUS_INVALID, "it was asked wrongly"}}) {
        Host host;
        REQUIRE(host.create(expected.failure) == L2O_STATUS_OK);
        CHECK(host.step() == expected.status);
        CHECK(std::string(host.err) == expected.text);
    }
}

TEST_CASE("a text that is longer than the host's buffer is cut, and none is written without a buffer") {
    Host host;
    REQUIRE(host.create(3) == L2O_STATUS_OK);
    host.call.err_cap = 5;
    host.step();
    CHECK(std::string(host.err) == "it b");
    host.call.err = nullptr;
    CHECK(host.step() == L2O_STATUS_INTERNAL);
}

TEST_CASE("create hands back the refusal of declare, and no instance") {
    Host host;
    CHECK(host.create(9) == L2O_STATUS_UNSUPPORTED);
    CHECK(std::string(host.err) == "nine is refused");
    CHECK(host.optimizer == nullptr);
}

TEST_CASE("a host that passes another number of options than the schema has is told so") {
    Host host;
    CHECK(host.create(0, 8) == L2O_STATUS_INVALID);
    CHECK(std::string(host.err) == "the host passed 8 option values");
}

TEST_CASE(
    "an unknown extension is NULL, and that of the derivative is there only for a method that has one") {
    Host host;
    REQUIRE(host.create(0) == L2O_STATUS_OK);
    CHECK(host.api.get_extension(host.optimizer, "l2o.optimizer.telepathy/1") == nullptr);
    CHECK(host.api.get_extension(host.optimizer, L2O_EXT_OPTIMIZER_VJP) == nullptr);
    const auto& differentiable = l2o::Optimizer<Differentiable>::kApi;
    const auto* vjp =
        static_cast<const l2o_optimizer_vjp*>(differentiable.get_extension(nullptr, L2O_EXT_OPTIMIZER_VJP));
    REQUIRE(vjp != nullptr);
    CHECK((vjp->step_vjp != nullptr));
    CHECK((vjp->init_state_vjp == nullptr));
    CHECK(differentiable.get_extension(nullptr, L2O_EXT_OPTIMIZER_VJP "2") == nullptr);
}

TEST_CASE("tags follow from the methods that are present") {
    const auto tags = [](const l2o_component* component) {
        std::vector<std::string> out;
        for (const char* const* tag = component->tags; *tag != nullptr; ++tag) out.emplace_back(*tag);
        return out;
    };
    CHECK(tags(l2o::detail::component<l2o::Optimizer<Probe>>()).empty());
    CHECK(tags(l2o::detail::component<l2o::Optimizer<Differentiable>>()) ==
          std::vector<std::string>{"differentiable"});
}

TEST_CASE("without init_state the state starts at zero") {
    Host host;
    REQUIRE(host.create(0) == L2O_STATUS_OK);
    double numbers[2] = {7, 7};
    l2o_tensor state = host.tensor(numbers);
    l2o_tensor* states[1] = {&state};
    l2o_step_in in{};
    in.batch = 1;
    CHECK(host.api.init_state(host.optimizer, &host.call, &in, states) == L2O_STATUS_OK);
    CHECK(numbers[0] == 0);
    CHECK(numbers[1] == 0);
}

TEST_CASE("what a step says of a row goes to the place of that row") {
    for (const int lead : {1, 2}) {
        CAPTURE(lead);  // of a population of 2 rows are particles: [3, 2] of them, and ends are of its 3 rows
        constexpr std::int64_t kNew = L2O_X_IS_NEW;
        const std::int64_t rows = lead == 1 ? 3 : 6;
        std::int32_t wanted[12] = {}, x_is[6], status[3] = {};
        std::fill(std::begin(x_is), std::end(x_is), L2O_X_IS_NEW);
        std::int64_t shape[3] = {2, 3, 2}, strides[3] = {rows, rows / 3, 1}, one = 1;
        const auto tensor = [&](std::int32_t* numbers, std::int64_t* sizes, std::int64_t* steps, int ndim) {
            l2o_tensor out{};
            out.data = numbers;
            out.device_type = 1;
            out.ndim = ndim;
            out.dtype = L2O_DTYPE_I32;
            out.shape = sizes;
            out.strides = steps;
            return out;
        };
        l2o_tensor q_wanted = tensor(wanted, shape, strides, 1 + lead),
                   is = tensor(x_is, shape + 1, strides + 1, lead), ends = tensor(status, shape + 1, &one, 1);
        l2o_step_out raw{};
        raw.q_wanted = &q_wanted;
        raw.x_is = &is;
        raw.row_status = &ends;
        const l2o::StepOut<double> out(&raw, lead);
        out.x_is_question(0, 1);
        out.x_is_unchanged(rows - 1);
        out.end(2, L2O_ROW_FAILED);
        CHECK(x_is[0] == 1);
        CHECK(std::count(x_is, x_is + rows, kNew) == rows - 2);
        CHECK(x_is[rows - 1] == L2O_X_IS_UNCHANGED);
        CHECK(std::vector<std::int32_t>(status, status + 3) ==
              std::vector<std::int32_t>{0, 0, L2O_ROW_FAILED});
        CHECK(raw.n_questions == 0);
        out.ask(1, 1, L2O_ORACLE_GRADIENT);
        CHECK(raw.n_questions == 2);
        CHECK(wanted[rows + 1] == L2O_ORACLE_GRADIENT);
        CHECK(std::count(wanted, wanted + 12, 0) == 11);
        out.ask_all(0, L2O_ORACLE_VALUE);
        CHECK(raw.n_questions == 2);
        CHECK(std::count(wanted, wanted + rows, L2O_ORACLE_VALUE) == rows);
        CHECK(wanted[rows + 1] == L2O_ORACLE_GRADIENT);
    }
}

TEST_CASE("a state of any element type starts at its value, and what lies between its rows is left alone") {
    for (const std::uint32_t dtype : {L2O_DTYPE_U8, L2O_DTYPE_F32, L2O_DTYPE_I64}) {
        const std::int64_t size = L2O_DTYPE_BYTES(dtype);
        CAPTURE(size);
        std::uint64_t memory[8];
        std::memset(memory, 0x7f, sizeof memory);
        // Two rows of 3 elements, 5 apart.
        std::int64_t shape[2] = {2, 3}, strides[2] = {5, 1};
        l2o_tensor state{};
        state.data = memory;
        state.ndim = 2;
        state.dtype = dtype;
        state.shape = shape;
        state.strides = strides;
        l2o::with_view(state, []<class U>(const l2o::View<U>& to) { l2o::fill(to, U(2)); });
        const auto* bytes = reinterpret_cast<const unsigned char*>(memory);
        for (std::int64_t i = 3 * size; i < 5 * size; ++i) CHECK(bytes[i] == 0x7f);
        l2o::with_view(state, [](const auto& to) {
            for (std::int64_t r = 0; r < 2; ++r)
                for (std::int64_t c = 0; c < 3; ++c) CHECK(double(to(r, c)) == 2);
        });
    }
}

template <class H>
constexpr bool kNamesState = requires(const l2o::StepIn<double> in, const H handle) {
    in.state(handle);
};
template <class H>
constexpr bool kNamesParam = requires(const l2o::StepIn<double> in, const H handle) {
    in.param(handle);
};
template <class H>
constexpr bool kNamesNeed = requires(const l2o::StepIn<double> in, const H handle) {
    in.data(handle);
};
template <class H>
constexpr bool kNamesMetric = requires(const l2o::MetricsOut<double> out, const H handle) {
    out[handle];
};

TEST_CASE("a handle is of one list, and is no number") {
    CHECK((kNamesState<l2o::State> && !kNamesState<l2o::Param> && !kNamesState<int>));
    CHECK((kNamesParam<l2o::Param> && !kNamesParam<l2o::State> && !kNamesParam<std::size_t>));
    CHECK((kNamesNeed<l2o::Need> && !kNamesNeed<l2o::Data> && !kNamesNeed<int>));
    CHECK((kNamesMetric<l2o::Metric> && !kNamesMetric<l2o::Data> && !kNamesMetric<int>));
    CHECK(!l2o::BlockStates{}[0]);
    using Counts = decltype(std::declval<l2o::StepIn<float>>().state(l2o::StateOf<std::int64_t>{}));
    CHECK((std::is_same_v<Counts, l2o::View<const std::int64_t>>));
}

TEST_CASE("what declare() did not ask for is refused in a sentence") {
    const l2o_call call{};
    l2o_step_in raw_in{};
    const l2o::StepIn<double> in(&raw_in, &call, 1, 1, 0);
    CHECK_THROWS_WITH(static_cast<void>(in.g(0)),
                      "a gradient is read that nobody asked for; expected spec.reads_g() in declare()");
    CHECK_THROWS_WITH(static_cast<void>(in.f()),
                      "values are read that nobody asked for; expected spec.reads_f() in declare()");
    l2o_step_out raw_out{};
    CHECK_THROWS_WITH(
        l2o::StepOut<double>(&raw_out, 1).end(0, L2O_ROW_CONVERGED),
        "a row is ended by a method that does not say so; expected spec.ends_rows() in declare()");
    CHECK_THROWS_WITH(static_cast<void>(l2o::Need{}.spec()),
                      "the spec of a tensor is read that the problem does not have; ask the handle first, "
                      "which is false then");
    CHECK_THROWS_AS(
        static_cast<void>(l2o::BlockStates(l2o::State(0, L2O_DTYPE_F64), 1)[1].in<double>(nullptr)),
        l2o::Failure);
}

TEST_CASE("parameters that nothing gives a first value are refused") {
    Host host;
    char err[512] = "";
    host.call.err = err, host.call.err_cap = sizeof err;
    REQUIRE(l2o::Optimizer<Unstarted>::kApi.create(&host.call, nullptr, 0, &host.problem, &host.optimizer) !=
            L2O_STATUS_OK);
    CHECK(std::string(err) ==
          "declare() has the parameter 'eta' and the class no init_params that gives it a first value; "
          "expected "
          "'template <class T> void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const "
          "l2o::ParamsOut<T>& params) const'");
}

TEST_CASE("a start that its element type does not hold is refused") {
    l2o_problem problem{};
    l2o::OptimizerSpec spec(problem);
    CHECK_THROWS_WITH(spec.state<std::uint8_t>({.name = "n", .start = 300}),
                      "state 'n' starts at 300.000000; expected a whole number that its element type holds");
    for (const double start : {1.5, 1e30, -1e30, double(NAN)})
        CHECK_THROWS_AS(spec.state<std::int64_t>({.name = "n", .start = start}), l2o::Failure);
    CHECK(spec.state<std::int32_t>({.name = "n", .start = -7}));
}

TEST_CASE("options that cannot be are refused in a sentence") {
    CHECK_THROWS_WITH(
        l2o::Options<Probe>().choice("colour", &Probe::colour, {"red"}, ""),
        "option 'colour' has 1 choices, and its default is number 1; expected a name for every value of the "
        "enum, from 0");
    CHECK_THROWS_WITH(l2o::Options<Probe>().required(),
                      "required() is said of no option; expected it behind one");
}

TEST_CASE("a handle that was never set, or of another element type, is refused") {
    double numbers[2] = {};
    Host host;
    l2o_tensor tensor = host.tensor(numbers);
    const l2o_tensor* const list[1] = {&tensor};
    CHECK(l2o::State(0, L2O_DTYPE_F64).in<const double>(list).data == numbers);
    CHECK(!l2o::State(0, L2O_DTYPE_F64).in<const double>(nullptr));
    CHECK_THROWS_WITH(
        static_cast<void>(l2o::State{}.in<const double>(list)),
        "a tensor is asked for by a handle that declare() never set; expected one that the spec gave");
    CHECK_THROWS_WITH(
        static_cast<void>(l2o::State(0, L2O_DTYPE_I64).in<const double>(list)),
        "a tensor of int64 is read as one of float64; expected a handle of its own element type, "
        "as spec.state<std::int64_t>() gives");
}

TEST_CASE("what a problem does not have is false and empty, and what was not asked for is refused") {
    l2o_problem problem{};
    const l2o_spec* data[2] = {nullptr, nullptr};
    l2o_spec a{};
    a.dtype = L2O_DTYPE_F32;
    data[0] = &a;
    problem.data = data;
    const l2o::OptimizerSpec spec(problem, "A,b?");
    CHECK(spec.needs("A"));
    CHECK(&spec.needs("A").spec() == &a);
    const l2o::Need b = spec.needs("b");
    CHECK(!b);
    const l2o_tensor* const list[2] = {nullptr, nullptr};
    CHECK(!b.in<const double>(list));
    CHECK_THROWS_WITH(static_cast<void>(spec.needs("c")),
                      "'c' is asked for by declare() and not among About::needs, \"A,b?\"; expected it "
                      "there, with a ? behind it if the method also works without");
    CHECK_THROWS_AS(static_cast<void>(spec.needs("A,b")), l2o::Failure);
}

TEST_CASE("a measured scratch is enough for any number of rows") {
    const auto take = [](l2o::Scratch& scratch, std::int64_t rows, auto scalar) {
        using T = decltype(scalar);
        scratch.take<std::uint8_t>(3);
        scratch.rows<T>(rows, 3);
        scratch.take<T>(5 * rows + 2);
    };
    for (const std::uint32_t dtype : {L2O_DTYPE_F32, L2O_DTYPE_F64}) {
        l2o_optimizer_info size{};
        l2o::cover_scratch(size, dtype, take);
        CHECK(size.scratch_per_row == 8 * L2O_DTYPE_BYTES(dtype));
        for (std::int64_t rows : {0, 1, 2, 3, 15, 16, 17, 97, 1000}) {
            CAPTURE(rows);
            l2o::Scratch needed;
            dtype == L2O_DTYPE_F32 ? take(needed, rows, float{}) : take(needed, rows, double{});
            CHECK(needed.bytes() <=
                  size.scratch_fixed + size.scratch_per_row * static_cast<std::uint64_t>(rows));
        }
        l2o_optimizer_info larger{};
        larger.scratch_fixed = 1 << 20, larger.scratch_per_row = 1 << 10;
        l2o::cover_scratch(larger, dtype, take);
        CHECK(larger.scratch_fixed == 1 << 20);
        CHECK(larger.scratch_per_row == 1 << 10);
    }
}

TEST_CASE("a scratch that does not grow row by row is refused") {
    l2o_optimizer_info size{};
    CHECK_THROWS_WITH(l2o::cover_scratch(size,
                                         L2O_DTYPE_F64,
                                         [](l2o::Scratch& scratch, std::int64_t rows, auto) {
                                             scratch.take<double>(rows * rows);
                                         }),
                      "0, 1 and 2 rows take 0, 8 and 32 bytes of scratch; expected as much more with every "
                      "row, and as many pieces");
}

TEST_CASE("a scratch of no possible size is refused") {
    l2o::Scratch measure;
    measure.take<double>(3);
    CHECK(measure.bytes() == 64);
    CHECK_THROWS_WITH(measure.take<double>(-1),
                      "a scratch of -1 elements of 8 bytes was asked for; expected fewer");
    CHECK_THROWS_AS(measure.take<double>(std::numeric_limits<std::int64_t>::max()), l2o::Failure);
    CHECK(measure.bytes() == 64);
}

TEST_CASE("particles that are declared behind a state like x are refused") {
    l2o_problem problem{};
    l2o::OptimizerSpec spec(problem), other(problem);
    (void)spec.state_like_x("v");
    spec.info.particles = 4;
    CHECK_THROWS_WITH(spec.check_particles(),
                      "declare() sets info.particles behind a state_like_x(), which is made for one point "
                      "each; expected it before the first state");
    other.info.particles = 4;
    (void)other.state_like_x("v");
    CHECK_NOTHROW(other.check_particles());
}

TEST_CASE("a spec index beyond the end is NULL") {
    Host host;
    REQUIRE(host.create(0) == L2O_STATUS_OK);
    CHECK(host.api.state_spec(host.optimizer, 0) != nullptr);
    CHECK(host.api.state_spec(host.optimizer, 1) == nullptr);
    CHECK(host.api.param_spec(host.optimizer, 0) == nullptr);
}

TEST_CASE("the library is described by its first component") {
    const l2o_plugin* plugin = l2o::detail::plugin<l2o::Optimizer<Probe>, l2o::Optimizer<Differentiable>>();
    CHECK(plugin->magic == L2O_MAGIC);
    CHECK(plugin->built_major == L2O_ABI_MAJOR);
    CHECK(plugin->required_minor == 0);
    CHECK(plugin->n_components == 2);
    CHECK(std::string(plugin->id) == "probe");
    CHECK(std::string(plugin->version) == "1.2.3");
    CHECK(std::string(plugin->license) == "MIT");
    CHECK(std::string(plugin->vendor) == "Me");
    CHECK(std::string(plugin->components[0]->needs) == "A,b?");
    CHECK(std::string(plugin->components[1]->id) == "differentiable");
}
