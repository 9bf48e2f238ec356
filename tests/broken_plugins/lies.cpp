#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <l2o/numerics/philox.hpp>
#include <string>
#include <thread>
#include <type_traits>

#include "wrong_derivatives.hpp"

// Optimizers that are right where it is easy to look, and wrong elsewhere.
namespace {

using namespace l2o::broken;

struct WrongInFloat32 : Descent {
    static constexpr l2o::About about = about_as("wrong_in_float32");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch() && std::is_same_v<T, float>; ++row)
            out.x(0)(row, 0) += T(0.01);
    }
};

/// Row 0 feels row 1, in batches of more than Most rows.
template <int Most>
struct MixesMany : Descent {
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        if (in.batch() > Most) out.x(0)(0, 0) += in.g(0)(1, 0);
    }
};
struct MixesThirtyTwo : MixesMany<31> {
    static constexpr l2o::About about = about_as("mixes_thirty_two");
};
struct MixesSixtyFive : MixesMany<64> {
    static constexpr l2o::About about = about_as("mixes_sixty_five");
};

struct StepsFurtherWithMany : Descent {
    static constexpr l2o::About about = about_as("steps_further_with_many");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch() && in.batch() >= 128; ++row)
            out.x(0)(row, 0) -= T(0.01) * in.g(0)(row, 0);
    }
};

struct CountsCallsLate : Descent {
    static constexpr l2o::About about = about_as("counts_calls_late");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        static std::atomic<int> calls = 0;
        if (in.t() >= 30) out.x(0)(0, 0) += T(1e-5) * T(++calls);
    }
};

struct DrawsInSecret : Descent {
    static constexpr l2o::About about = about_as("draws_in_secret");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            l2o::numerics::Stream random({in.call.key[0], in.call.key[1]},
                                         in.call.row0 + static_cast<std::uint64_t>(row));
            out.x(0)(row, 0) += T(0.01 * random.normal());
        }
    }
};

struct ForgetsSometimes : Descent {
    static constexpr l2o::About about = about_as("forgets_sometimes");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        static thread_local int calls = 0;
        if (++calls % 5000 == 0) out.x(0)(0, 0) = in.x(0)(0, 0);
    }
};

struct Leaks : Descent {
    static constexpr l2o::About about = about_as("leaks");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        static char* volatile kept = nullptr;
        kept = new char[1 << 20];
        kept[0] = 1;
    }
};

struct LeavesThreads : Descent {
    static constexpr l2o::About about = about_as("leaves_threads");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        std::thread([] {
            for (;;) ::pause();
        }).detach();
    }
};

struct LeaksMappings : Descent {
    static constexpr l2o::About about = about_as("leaks_mappings");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        auto* kept = static_cast<char*>(
            ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        kept[0] = 1;
    }
};

struct LeaksInstances : Descent {
    static constexpr l2o::About about = about_as("leaks_instances");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        static char* volatile kept = nullptr;
        kept = new char[1 << 22];
        kept[0] = 1;
    }
};

struct LeavesThreadsOfInstances : Descent {
    static constexpr l2o::About about = about_as("leaves_threads_of_instances");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        std::thread([] {
            for (;;) ::pause();
        }).detach();
    }
};

/// A state with a name that cannot be shown.
struct HasName : Descent {
    void declare_with(l2o::OptimizerSpec& spec, std::string name) {
        Descent::declare(spec);
        unused = spec.state({.name = std::move(name), .doc = "nothing", .batched = true});
        spec.drop(L2O_OPTIMIZER_COORDINATEWISE);
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        l2o::copy(in.state(unused), out.state(unused));
    }
    l2o::State unused;
};
struct NameNotUtf8 : HasName {
    static constexpr l2o::About about = about_as("name_not_utf8");
    void declare(l2o::OptimizerSpec& spec) { declare_with(spec, "\xE4"); }
};
struct NameOfTwoLines : HasName {
    static constexpr l2o::About about = about_as("name_of_two_lines");
    void declare(l2o::OptimizerSpec& spec) { declare_with(spec, "a\nb"); }
};
struct NameIsHuge : HasName {
    static constexpr l2o::About about = about_as("name_is_huge");
    void declare(l2o::OptimizerSpec& spec) { declare_with(spec, std::string(100'000, 'a')); }
};

// What a host refuses when the instance is made.
struct StatesOfOneName : Descent {
    static constexpr l2o::About about = about_as("states_of_one_name");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.state({.name = "twice"});
        spec.state({.name = "twice"});
    }
};
struct StateOfNoBlock : Descent {
    static constexpr l2o::About about = about_as("state_of_no_block");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.state({.name = "count", .block = 7});
    }
};
struct StateOfAllRows : Descent {
    static constexpr l2o::About about = about_as("state_of_all_rows");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.state_of(0, {.name = "count"});
    }
};
struct StepsAreRefunded : Descent {
    static constexpr l2o::About about = about_as("steps_are_refunded");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.info.points_per_step = -1;
    }
};

// Has a parameter of the size of the problem, and does not say so.
struct FitsTheProblem : Descent {
    static constexpr l2o::About about = about_as("fits_the_problem");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        scale = spec.param({.name = "scale", .doc = "of nothing", .shape = l2o::shape_of(spec.block(0))});
    }
    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        Descent::init_params(call, data, params);
        l2o::fill(params[scale], T(1));
    }
    l2o::Param scale;
};

struct BadDefault : Descent {
    static constexpr l2o::About about = about_as("bad_default");
    double rate = 2;
    static l2o::Options<BadDefault> options() {
        l2o::Options<BadDefault> options;
        options.real("rate", &BadDefault::rate, "of nothing", l2o::kFraction);
        return options;
    }
};

/// With an option of which only some values are wrong.
template <class Self>
struct Damped : Reversible {
    static constexpr l2o::About about = Descent::about_as(Self::kId);
    double damping = 0;
    static l2o::Options<Self> options() {
        l2o::Options<Self> options;
        options.real("damping", &Self::damping, "of nothing", l2o::kFraction);
        return options;
    }
};
struct WrongWhenDamped : Damped<WrongWhenDamped> {
    static constexpr const char* kId = "wrong_when_damped";
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        reverse(in, cot, acc, [&](std::size_t) { return damping > 0.5 ? 1.1 : 1; });
    }
};
struct CrashesWhenDamped : Damped<CrashesWhenDamped> {
    static constexpr const char* kId = "crashes_when_damped";
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        if (damping > 0.5) std::abort();
        Descent::step(in, out);
    }
};
struct RefusesDamping : Damped<RefusesDamping> {
    static constexpr const char* kId = "refuses_damping";
    void declare(l2o::OptimizerSpec& spec) {
        if (damping > 0.5) l2o::invalid("damping is too large; expected at most 0.5");
        Descent::declare(spec);
    }
};

// Wrong of points that are far out.
struct WrongFarOut : Descent {
    static constexpr l2o::About about = about_as("wrong_far_out");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            if (in.x(0)(row, 0) > T(0.7)) out.x(0)(row, 0) += in.x(0)(0, 0);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ReversesSoundly>,
           l2o::Optimizer<LeadsNowhere>,
           l2o::Optimizer<WrongByLittle>,
           l2o::Optimizer<WrongLate>,
           l2o::Optimizer<WrongVeryLate>,
           l2o::Optimizer<WrongAwayFromStart>,
           l2o::Optimizer<WrongVjpInFloat32>,
           l2o::Optimizer<WrongVjpOfMany>,
           l2o::Optimizer<WrongInSecondBlock>,
           l2o::Optimizer<WrongBeforeItLeaps>,
           l2o::Optimizer<WrongSinceItLeaps>,
           l2o::Optimizer<WrongAndLeapsAtOnce>,
           l2o::Optimizer<DividesSoundly>,
           l2o::Optimizer<JumpsSoundly>,
           l2o::Optimizer<WrongBehindAJump>,
           l2o::Optimizer<WrongInFloat32>,
           l2o::Optimizer<MixesThirtyTwo>,
           l2o::Optimizer<MixesSixtyFive>,
           l2o::Optimizer<StepsFurtherWithMany>,
           l2o::Optimizer<CountsCallsLate>,
           l2o::Optimizer<DrawsInSecret>,
           l2o::Optimizer<ForgetsSometimes>,
           l2o::Optimizer<Leaks>,
           l2o::Optimizer<LeavesThreads>,
           l2o::Optimizer<LeaksMappings>,
           l2o::Optimizer<LeaksInstances>,
           l2o::Optimizer<LeavesThreadsOfInstances>,
           l2o::Optimizer<NameNotUtf8>,
           l2o::Optimizer<NameOfTwoLines>,
           l2o::Optimizer<NameIsHuge>,
           l2o::Optimizer<StatesOfOneName>,
           l2o::Optimizer<StateOfNoBlock>,
           l2o::Optimizer<StateOfAllRows>,
           l2o::Optimizer<StepsAreRefunded>,
           l2o::Optimizer<FitsTheProblem>,
           l2o::Optimizer<BadDefault>,
           l2o::Optimizer<WrongWhenDamped>,
           l2o::Optimizer<CrashesWhenDamped>,
           l2o::Optimizer<RefusesDamping>,
           l2o::Optimizer<WrongFarOut>)
