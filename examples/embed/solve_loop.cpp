// Solves b = A x for sparse x, one b after the other, with a trained optimizer under a safeguard: first for
// signals like those of the training, then for others.
//
//     solve_loop problem.safetensors weights.safetensors [solves]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

#include "framework/error.hpp"
#include "framework/solve/solver.hpp"
#include "framework/store/safetensors.hpp"

namespace {

using namespace l2o::framework;

/// A measurement b = A x of a random x.
class Measurements {
  public:
    explicit Measurements(const char* problem) : a_(read_safetensors(problem).at("A").clone()) {
        x_.resize(static_cast<std::size_t>(a_.shape()[1]));
    }

    /// @param density  share of the entries of x that are not zero.
    void draw(double density, std::span<float> b) {
        std::bernoulli_distribution is_there(density);
        std::normal_distribution<float> normal;
        for (float& entry : x_) entry = is_there(random_) ? normal(random_) : 0;
        const std::span<const float> a = a_.values<float>();
        for (std::size_t i = 0; i < b.size(); ++i) {
            b[i] = 0;
            for (std::size_t j = 0; j < x_.size(); ++j) b[i] += a[i * x_.size() + j] * x_[j];
        }
    }
    /// |x - x*|^2 / |x*|^2
    [[nodiscard]] double relative_error(std::span<const float> x) const {
        double error = 0, size = 1e-10;
        for (std::size_t j = 0; j < x_.size(); ++j) {
            error += std::pow(double(x[j]) - x_[j], 2);
            size += std::pow(double(x_[j]), 2);
        }
        return error / size;
    }

  private:
    Tensor a_;
    std::vector<float> x_;
    std::mt19937 random_{1};
};

double quantile(std::vector<double> values, double q) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

void run(const char* what, Solver& solver, Measurements& measurements, double density, int solves) {
    std::vector<double> microseconds, decibels;
    double classic = 0;
    for (int i = 0; i < solves; ++i) {
        measurements.draw(density, solver.input("b").values<float>());
        const auto begin = std::chrono::steady_clock::now();
        const Tensor& x = solver.solve();
        const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - begin;
        microseconds.push_back(elapsed.count());
        decibels.push_back(10 * std::log10(measurements.relative_error(x.values<float>()) + 1e-10));
        classic += solver.fallback_rate() / solves;
    }
    std::printf("%-16s %6.1f us a solve (99 %%: %.1f us), NMSE %6.1f dB, classic steps %5.1f %%\n",
                what,
                quantile(microseconds, 0.5),
                quantile(microseconds, 0.99),
                quantile(decibels, 0.5),
                100 * classic);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4)
        return std::fprintf(stderr, "usage: solve_loop PROBLEM WEIGHTS [SOLVES]\n"), 2;
    const int solves = argc == 4 ? std::max(1, std::atoi(argv[3])) : 10000;
    try {
        Solver safe({.problem = argv[1], .weights = argv[2], .safeguard = "ista"});
        Solver alone({.problem = argv[1], .weights = argv[2]});
        std::printf("%s on %s, %d solves each\n", safe.optimizer().c_str(), safe.problem().c_str(), solves);
        Measurements measurements(argv[1]);
        run("alone", alone, measurements, 0.1, solves);
        run("safeguarded", safe, measurements, 0.1, solves);
        run("dense, alone", alone, measurements, 0.6, solves);
        run("dense, guarded", safe, measurements, 0.6, solves);
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return static_cast<int>(error.code());
    }
}
