#include <fmt/format.h>
#include <signal.h>

#include <Eigen/Eigenvalues>
#include <boost/program_options.hpp>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <l2o/numerics/analytic_weight.hpp>
#include <map>
#include <string>

#include "dictionary.hpp"
#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/store/system_failure.hpp"
#include "images.hpp"

namespace {

namespace po = boost::program_options;
using l2o::dictionary::DictionaryLearning, l2o::dictionary::Matrix;
using l2o::framework::Error, l2o::framework::ExitCode;

volatile sig_atomic_t is_interrupted = 0;
extern "C" void interrupt(int signal) {
    is_interrupted = 1;
    ::signal(signal, SIG_DFL);  // a second one ends the program at once
}

struct Settings {
    std::string images, output;
    std::int64_t patch = 16, atoms = 512, patches = 20000, iterations = 400;
    double lambda = 0.1;
    std::uint64_t seed = 1;
};

/// What is known of a matrix A [m, n] of unit columns.
struct Coherence {
    double plain = 0;        ///< max over i != j of |a_i^T a_j|
    double generalized = 0;  ///< of A and its analytic weight
    std::int64_t rank = 0;
    double condition = 0;  ///< largest over smallest non-zero singular value
};

Coherence coherence_of(const Matrix& a) {
    const Matrix gram = a * a.transpose();
    const Eigen::VectorXd squares =
        Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(gram, Eigen::EigenvaluesOnly).eigenvalues();
    const double top = squares.tail<1>()(0), none = 1e-12 * top;
    Coherence out{.plain = l2o::numerics::mutual_coherence(a, a), .rank = (squares.array() > none).count()};
    out.condition = std::sqrt(top / squares(squares.size() - out.rank));
    // Patches without their mean leave the constant direction empty: a ridge far below all others.
    const Matrix w = l2o::numerics::analytic_weight(a, out.rank < a.rows() ? 1e-9 * top : 0);
    out.generalized = l2o::numerics::mutual_coherence(w, a);
    return out;
}

template <class T>
auto value(T& to) {
    return po::value<T>(&to)->default_value(to, fmt::format("{}", to));
}

/// @return false: help was asked for.
bool parse(int argc, char** argv, Settings& s) {
    po::options_description options("Options");
    options.add_options()                                                                                   //
        ("images", po::value(&s.images)->value_name("FOLDER"), "natural images, .png or .pgm")              //
        ("output", po::value(&s.output)->value_name("FILE"), "the dictionary, .safetensors")                //
        ("patch", value(s.patch)->value_name("P"), "side of a patch: m = P x P")                            //
        ("atoms", value(s.atoms)->value_name("N"), "columns of A")                                          //
        ("patches", value(s.patches)->value_name("COUNT"), "drawn from all places of all images")           //
        ("lambda", value(s.lambda)->value_name("L"), "weight of ||X||_1; patches have mean square norm 1")  //
        ("iterations", value(s.iterations)->value_name("K"), "updates of X and D")                          //
        ("seed", value(s.seed)->value_name("SEED"), "of the patches and of the start")                      //
        ("help", "this text");
    po::variables_map given;
    try {
        po::store(po::command_line_parser(argc, argv).options(options).run(), given);
        po::notify(given);
    } catch (const po::error& error) {
        throw Error(ExitCode::kUsage, std::string(error.what()) + "; see 'learn_dictionary --help'");
    }
    if (given.count("help") != 0) {
        std::cout
            << "learn_dictionary --images FOLDER --output FILE [options]\n\n"
               "Learns a dictionary A of natural image patches, the coherent measurement matrix of\n"
               "Chen et al. 2021 (arXiv:2103.12828), section 4.1:\n"
               "  min over A, X of 1/2 ||Y - A X||_F^2 + lambda ||X||_1, columns of A of norm 1,\n"
               "by block proximal gradient (Xu & Yin 2013), Y the patches without their means. Use it as\n"
               "  optimizee { use sparse_recovery\n"
               "              matrix FILE }\n"
               "Ctrl-C writes the dictionary as it is. Same images, options and machine, same file.\n\n"
            << options;
        return false;
    }
    const auto require = [](bool is_met, const std::string& text) {
        if (!is_met) throw Error(ExitCode::kUsage, text + "; see 'learn_dictionary --help'");
    };
    require(!s.images.empty(), "--images is missing; expected a folder");
    require(!s.output.empty(), "--output is missing; expected a file name");
    require(s.patch >= 2, fmt::format("--patch is {}; expected at least 2", s.patch));
    require(s.atoms >= 1, fmt::format("--atoms is {}; expected at least 1", s.atoms));
    require(s.patches >= 1, fmt::format("--patches is {}; expected at least 1", s.patches));
    require(s.lambda > 0 && std::isfinite(s.lambda),
            fmt::format("--lambda is {}; expected a number > 0", s.lambda));
    require(s.iterations >= 0, fmt::format("--iterations is {}; expected at least 0", s.iterations));
    return true;
}

ExitCode learn(const Settings& s) {
    l2o::framework::check_output(s.output);  // better now than after minutes
    const auto images = l2o::dictionary::read_images(s.images, s.patch);
    DictionaryLearning learning(l2o::dictionary::sample_patches(images, s.patch, s.patches, s.seed),
                                l2o::dictionary::random_atoms(s.atoms, s.patch * s.patch, s.seed),
                                s.lambda);
    std::cout << fmt::format("{} images, {} patches of {} x {}, {} atoms, lambda {}\n",
                             images.size(),
                             s.patches,
                             s.patch,
                             s.patch,
                             s.atoms,
                             s.lambda)
              << "iteration  objective  nonzeros  coherence  generalized   time\n";
    const auto start = std::chrono::steady_clock::now();
    const auto count = static_cast<double>(s.patches);
    std::int64_t done = 0;
    const auto tell = [&] {
        const Matrix a = learning.atoms().transpose();
        const Coherence coherence = coherence_of(a);
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        std::cout << fmt::format("{:9}  {:9.6f}  {:8.2f}  {:9.4f}  {:11.4f}  {:4.0f} s\n",
                                 done,
                                 learning.objective() / count,
                                 learning.nonzeros_per_patch(),
                                 coherence.plain,
                                 coherence.generalized,
                                 elapsed.count())
                  << std::flush;
    };
    constexpr std::int64_t kTellEvery = 20;
    while (done < s.iterations && is_interrupted == 0) {
        if (done % kTellEvery == 0) tell();
        learning.step();
        ++done;
    }
    tell();

    const Matrix a = learning.atoms().transpose();
    const Coherence coherence = coherence_of(a);
    l2o::framework::Tensor tensor(l2o::framework::Dtype::kF64, {a.rows(), a.cols()});
    std::copy_n(a.data(), a.size(), tensor.values<double>().begin());
    l2o::framework::write_safetensors(
        s.output,
        {{"A", &tensor}},
        {{"method", "block proximal gradient, Xu & Yin 2013"},
         {"patch", std::to_string(s.patch)},
         {"patches", std::to_string(s.patches)},
         {"images", std::to_string(images.size())},
         {"lambda", fmt::format("{}", s.lambda)},
         {"iterations", std::to_string(done)},
         {"seed", std::to_string(s.seed)},
         {"objective", fmt::format("{}", learning.objective() / count)},
         {"nonzeros_per_patch", fmt::format("{}", learning.nonzeros_per_patch())},
         {"coherence", fmt::format("{}", coherence.plain)},
         {"generalized_coherence", fmt::format("{}", coherence.generalized)}});
    std::cout << fmt::format(
        "A [{}, {}]: rank {}, condition number {:.4g} within it, coherence {:.4f}, generalized {:.4f}\n"
        "written: {}\n",
        a.rows(),
        a.cols(),
        coherence.rank,
        coherence.condition,
        coherence.plain,
        coherence.generalized,
        s.output);
    if (coherence.rank < a.rows())
        std::cout << "A A^T is singular: methods with an analytic weight need a ridge > 0\n";
    return is_interrupted != 0 ? ExitCode::kInterrupted : ExitCode::kOk;
}

}  // namespace

int main(int argc, char** argv) {
    l2o::framework::reserve_standard_streams();
    try {
        Settings settings;
        if (!parse(argc, argv, settings)) return 0;
        ::signal(SIGINT, &interrupt);
        ::signal(SIGTERM, &interrupt);
        return static_cast<int>(learn(settings));
    } catch (const Error& error) {
        std::cerr << "learn_dictionary: error: " << error.what() << "\n";
        return static_cast<int>(error.code());
    } catch (const std::exception& error) {
        if (const auto failure = l2o::framework::system_failure(error)) {
            std::cerr << "learn_dictionary: error: " << failure->what() << "\n";
            return static_cast<int>(failure->code());
        }
        std::cerr << "learn_dictionary: error: " << error.what() << "\n";
        return 1;
    }
}
