#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <l2o/sdk/optimizer.hpp>

namespace {

// Gradient descent that changes, when it is created or in every step, what belongs to the process.
struct Meddles {
    static constexpr l2o::About about{
        .id = "meddles", .version = "1.0.0", .title = "A broken optimizer", .doc = "For tests."};

    enum class What {
        kLocale,
        kFolder,
        kUmask,
        kHandler,
        kEnvironment,
        kDescriptor,
        kRounding,
        kPrints,
        kExits,
        kQuits,
        kLeaves,
        kLeavesAsC,
        kAborts,
        kCrashes
    };
    What what = What::kLocale;
    bool in_create = false;

    static l2o::Options<Meddles> options() {
        l2o::Options<Meddles> options;
        options
            .choice("what",
                    &Meddles::what,
                    {"locale",
                     "folder",
                     "umask",
                     "handler",
                     "environment",
                     "descriptor",
                     "rounding",
                     "prints",
                     "exits",
                     "quits",
                     "leaves",
                     "leaves_as_c",
                     "aborts",
                     "crashes"},
                    "what it changes")
            .flag("in_create", &Meddles::in_create, "when it is created, not in its steps");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) const {
        spec.reads_g();
        if (in_create) meddle();
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([](T x, T g, T& x_next) { x_next = x - T(0.01) * g; }, in.x(k), in.g(k), out.x(k));
        if (!in_create) meddle();
    }

  private:
    void meddle() const {
        switch (what) {
            case What::kLocale:
                std::setlocale(LC_ALL, "C.UTF-8");
                break;
            case What::kFolder:
                (void)!::chdir("/");
                break;
            case What::kUmask:
                ::umask(0777);
                break;
            case What::kHandler:
                std::signal(SIGTERM, SIG_IGN);
                break;
            case What::kEnvironment:
                ::setenv("L2O_MEDDLES", "1", 1);
                break;
            case What::kDescriptor: {
                [[maybe_unused]] static const int open = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
                break;
            }
            case What::kRounding:
                std::fesetround(FE_UPWARD);
                break;
            case What::kPrints:
                std::puts("{ this is no JSON");
                std::fflush(stdout);
                break;
            case What::kExits:
                std::exit(0);
            case What::kQuits:
                std::quick_exit(0);
            case What::kLeaves:
                ::_exit(0);
            case What::kLeavesAsC:
                std::_Exit(0);
            case What::kAborts:
                std::abort();
            case What::kCrashes:
                (void)std::raise(SIGSEGV);
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Meddles>)
