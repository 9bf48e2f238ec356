// The C++ glue seen through the C tables that it fills.
#include <doctest/doctest.h>

#include <cstring>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// Fails as it is told, in step; has an option of every kind.
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
    std::string file = "weights";
    double must = 0;

    static l2o::Options<Probe> options() {
        l2o::Options<Probe> options;
        options.real("rate", &Probe::rate, "a number", l2o::kFraction)
            .integer("failure", &Probe::failure, "how step ends", l2o::between(0, 9))
            .flag("loud", &Probe::loud, "a switch")
            .choice("colour", &Probe::colour, {"red", "green"}, "a word")
            .integers("sizes", &Probe::sizes, "numbers")
            .path("file", &Probe::file, "a file")
            .real("must", &Probe::must, "no default", l2o::kPositive)
            .required();
        return options;
    }
    void declare(l2o::OptimizerSpec& spec) {
        if (failure == 9) l2o::refuse("nine is refused");
        spec.state_like_x("m");
    }
    template <class T>
    void step(const l2o::StepIn<T>&, const l2o::StepOut<T>&) const {
        switch (failure) {
            case 1:
                throw l2o::Failure(L2O_NUMERICAL, "it diverged");
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
        block.dtype = L2O_F64;
        block.ndim = 1;
        block.batched = 1;
        block.shape = &two;
        problem.struct_size = sizeof problem;
        problem.n_blocks = 1;
        problem.n_data = 2;
        problem.blocks = blocks;
        problem.data = data;
        problem.dtype = L2O_F64;
        call.struct_size = sizeof call;
        call.err = err;
        call.err_cap = sizeof err;
    }
    ~Host() {
        if (optimizer != nullptr) api.destroy(optimizer);
    }
    l2o_status create(std::int64_t failure, std::uint32_t count = 7) {
        l2o_value values[7]{};
        values[1].i = failure;
        values[5].s = "";
        const l2o_value* pointers[7];
        for (int i = 0; i < 7; ++i) pointers[i] = &values[i];
        return api.create(&call, pointers, count, &problem, &optimizer);
    }
    l2o_tensor tensor(double* numbers) {
        l2o_tensor out{};
        out.data = numbers;
        out.device_type = 1;
        out.ndim = 2;
        out.code = 2;
        out.bits = 64;
        out.lanes = 1;
        out.shape = shape;
        out.strides = strides;
        return out;
    }
    l2o_status step() {
        const l2o_step_in in{};
        l2o_step_out out{};
        out.n_questions = 7;
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
    CHECK(option("must").def == nullptr);
    CHECK(option("must").flags == (L2O_OPTION_REQUIRED | L2O_OPTION_OPEN_MIN));
}

TEST_CASE("the schema says type, range and choices") {
    CHECK(option("rate").type == L2O_REAL);
    CHECK(option("rate").max == 1);
    CHECK(option("rate").flags == L2O_OPTION_OPEN_MAX);
    CHECK(option("sizes").type == L2O_INTS);
    CHECK(option("sizes").max == l2o::kInfinity);
    CHECK(std::string(option("colour").choices[0]) == "red");
    CHECK(option("colour").choices[2] == nullptr);
    CHECK(option("rate").choices == nullptr);
}

TEST_CASE("an exception inside step becomes a status with its text") {
    struct Case {
        std::int64_t failure;
        l2o_status status;
        const char* text;
    };
    for (const Case& expected : {Case{0, L2O_OK, "untouched"},
                                 Case{1, L2O_NUMERICAL, "it diverged"},
                                 Case{2, L2O_NOMEM, "out of memory"},
                                 Case{3, L2O_INTERNAL, "it broke"},
                                 Case{4, L2O_INTERNAL, "unknown exception"},
                                 Case{5, L2O_INVALID, "it was asked wrongly"}}) {
        Host host;
        REQUIRE(host.create(expected.failure) == L2O_OK);
        CHECK(host.step() == expected.status);
        CHECK(std::string(host.err) == expected.text);
    }
}

TEST_CASE("a text that is longer than the host's buffer is cut, and none is written without a buffer") {
    Host host;
    REQUIRE(host.create(3) == L2O_OK);
    host.call.err_cap = 5;
    host.step();
    CHECK(std::string(host.err) == "it b");
    host.call.err = nullptr;
    CHECK(host.step() == L2O_INTERNAL);
}

TEST_CASE("create hands back the refusal of declare, and no instance") {
    Host host;
    CHECK(host.create(9) == L2O_UNSUPPORTED);
    CHECK(std::string(host.err) == "nine is refused");
    CHECK(host.optimizer == nullptr);
}

TEST_CASE("a host that passes another number of options than the schema has is told so") {
    Host host;
    CHECK(host.create(0, 6) == L2O_INVALID);
    CHECK(std::string(host.err) == "the host passed 6 option values");
}

TEST_CASE(
    "an unknown extension is NULL, and that of the derivative is there only for a method that has one") {
    Host host;
    REQUIRE(host.create(0) == L2O_OK);
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

TEST_CASE("without init_state the state starts at zero; step clears the questions of an earlier call") {
    Host host;
    REQUIRE(host.create(0) == L2O_OK);
    double numbers[2] = {7, 7};
    l2o_tensor state = host.tensor(numbers);
    l2o_tensor* states[1] = {&state};
    l2o_step_in in{};
    in.batch = 1;
    CHECK(host.api.init_state(host.optimizer, &host.call, &in, states) == L2O_OK);
    CHECK(numbers[0] == 0);
    CHECK(numbers[1] == 0);
    l2o_step_out out{};
    out.n_questions = 7;
    out.question_kinds = L2O_VALUE;
    CHECK(host.api.step(host.optimizer, &host.call, &in, &out) == L2O_OK);
    CHECK(out.n_questions == 0);
    CHECK(out.question_kinds == 0);
}

TEST_CASE("a state of any element type starts at zero, and what lies between its rows is left alone") {
    for (const int bits : {8, 32, 64}) {
        CAPTURE(bits);
        std::uint64_t memory[8];
        std::memset(memory, 0x7f, sizeof memory);
        // Two rows of 3 elements, 5 apart.
        std::int64_t shape[2] = {2, 3}, strides[2] = {5, 1};
        l2o_tensor state{};
        state.data = memory;
        state.ndim = 2;
        state.bits = static_cast<std::uint8_t>(bits);
        state.shape = shape;
        state.strides = strides;
        l2o::fill_zero(state);
        const auto* bytes = reinterpret_cast<const unsigned char*>(memory);
        for (int i = 0; i < 8 * bits / 8; ++i) {
            const int element = i / (bits / 8);
            CHECK(bytes[i] == (element < 3 || element >= 5 ? 0 : 0x7f));
        }
    }
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

TEST_CASE("a spec index beyond the end is NULL") {
    Host host;
    REQUIRE(host.create(0) == L2O_OK);
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
