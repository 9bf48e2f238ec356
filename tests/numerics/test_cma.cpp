#include <doctest/doctest.h>

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <vector>

#include "l2o/numerics/cma.hpp"
#include "l2o/numerics/philox.hpp"

using namespace l2o::numerics;

namespace {

using Vector = Eigen::RowVectorXd;

/// sum_i 10^(6 (i - 1) / (n - 1)) x_i^2.
double ellipsoid(const Vector& x) {
    double sum = 0;
    for (Index i = 0; i < x.size(); ++i) sum += std::pow(1e6, double(i) / double(x.size() - 1)) * x[i] * x[i];
    return sum;
}
Eigen::MatrixXd rotation(Index n) {
    Stream random(Key{7, 8}, 0);
    return Eigen::HouseholderQR<Eigen::MatrixXd>(
               Eigen::MatrixXd::NullaryExpr(n, n, [&] { return random.normal(); }))
        .householderQ();
}

/// Runs from N(0, I) with sigma 0.5.
struct Search {
    explicit Search(const Cma& strategy, std::uint64_t seed)
        : cma(strategy), state(std::size_t(cma.state_size())), random(Key{1, 2}, seed) {
        std::vector<double> x0(std::size_t(cma.size()));
        for (double& x : x0) x = random.normal();
        cma.start(state.data(), x0.data(), 0.5);
    }
    /// @return the least value of a generation.
    template <class F>
    double generation(F&& f) {
        RowMatrix<double> y(cma.lambda(), cma.size());
        std::vector<double> values;
        for (Index i = 0; i < cma.lambda(); ++i) {
            cma.draw(
                state.data(), [&] { return random.normal(); }, y.row(i).data());
            values.push_back(
                f(row_vector(Cma::mean(state.data()), cma.size()) + Cma::sigma(state.data()) * y.row(i)));
        }
        cma.tell(state.data(), values, y);
        return *std::min_element(values.begin(), values.end());
    }
    /// Median evaluations to f <= 1e-9 over 11 seeds, at most 20,000.
    template <class F>
    static double evaluations(const Cma& cma, F&& f) {
        std::vector<double> counts;
        for (std::uint64_t seed = 0; seed < 11; ++seed) {
            Search search(cma, seed);
            double count = double(cma.lambda());
            while (search.generation(f) > 1e-9 && count < 2e4) count += double(cma.lambda());
            counts.push_back(count);
        }
        std::nth_element(counts.begin(), counts.begin() + 5, counts.end());
        return counts[5];
    }

    const Cma& cma;
    std::vector<double> state;
    Stream random;
};

}  // namespace

// pycma 4.5.0: medians over 21 seeds, tests/peers/pycma.py.
TEST_CASE("cma: takes the evaluations to f = 1e-9 that pycma takes, on a sphere and an ellipsoid of n = 10") {
    const Cma cma(10, Cma::default_lambda(10));
    REQUIRE(cma.lambda() == 10);
    const double sphere = Search::evaluations(cma, [](const Vector& x) { return x.squaredNorm(); });
    const double stretched = Search::evaluations(cma, ellipsoid);
    MESSAGE("sphere " << sphere << ", ellipsoid " << stretched);
    CHECK(sphere == doctest::Approx(1471).epsilon(0.1));
    CHECK(stretched == doctest::Approx(4071).epsilon(0.1));
}

// The same: to TolFun of 1e-11, its default.
TEST_CASE("cma: a search ends after as many evaluations as pycma's, on a sphere and a Rastrigin function") {
    const Cma cma(10, 10);
    const auto evaluations = [&](auto&& f) {
        std::vector<double> counts;
        for (std::uint64_t seed = 0; seed < 11; ++seed) {
            Search search(cma, seed);
            for (counts.push_back(0); !cma.has_converged(search.state.data(), 1e-11); counts.back() += 10)
                search.generation(f);
        }
        std::nth_element(counts.begin(), counts.begin() + 5, counts.end());
        return counts[5];
    };
    const double sphere = evaluations([](const Vector& x) { return x.squaredNorm(); });
    const double wells = evaluations([](const Vector& x) {
        return x.squaredNorm() + 10 * (1 - (2 * 3.14159265358979 * x.array()).cos()).sum();
    });
    MESSAGE("sphere " << sphere << ", Rastrigin " << wells);
    CHECK(sphere == doctest::Approx(2191).epsilon(0.1));
    CHECK(wells == doctest::Approx(2811).epsilon(0.1));
}

TEST_CASE("cma: a rotation of the ellipsoid makes no difference, but to a diagonal C") {
    const Eigen::MatrixXd q = rotation(10);
    const auto turned = [&](const Vector& x) { return ellipsoid(x * q); };
    const Cma full(10, 10), diagonal(10, 10, true);
    const double straight = Search::evaluations(full, ellipsoid);
    CHECK(Search::evaluations(full, turned) == doctest::Approx(straight).epsilon(0.1));
    INFO("a diagonal C learns the axes faster, and never where they are not the coordinates");
    CHECK(Search::evaluations(diagonal, ellipsoid) < 0.8 * straight);
    CHECK(Search::evaluations(diagonal, turned) == 2e4);
}

TEST_CASE("cma: values that are ordered alike give the same search, bit for bit") {
    for (const bool separable : {false, true}) {
        const Cma cma(5, 8, separable);
        Search a(cma, 3), b(cma, 3);
        for (int t = 0; t < 60; ++t) {
            a.generation(ellipsoid);
            b.generation([](const Vector& x) { return std::atan(std::sqrt(ellipsoid(x))) - 100; });
        }
        const auto until = [&](const Search& s) { return std::vector(s.state.begin(), s.state.begin() + 4); };
        CHECK(until(a) == until(b));
        CHECK(
            std::equal(Cma::mean(a.state.data()), Cma::mean(a.state.data()) + 5, Cma::mean(b.state.data())));
    }
}

TEST_CASE("cma: C becomes the inverse of the Hessian, up to a factor") {
    const Cma cma(4, 8);
    Search search(cma, 5);
    for (int t = 0; t < 300; ++t) search.generation(ellipsoid);
    constexpr std::ptrdiff_t kN = 4;
    const double* c = Cma::mean(search.state.data()) + kN * kN;
    for (std::ptrdiff_t i = 0; i < kN; ++i)
        CHECK(std::log10(c[(kN + 1) * i] / c[0]) == doctest::Approx(-2 * double(i)).epsilon(0.25).scale(1));
}

TEST_CASE("cma: what is no number is ranked last, and moves no mean") {
    const Cma cma(3, 8);
    Search with_nan(cma, 1), with_huge(cma, 1);
    const auto holed = [](double hole) {
        return [=](const Vector& x) { return x[0] > 0 ? hole : x.squaredNorm(); };
    };
    for (int t = 0; t < 20; ++t) {
        with_nan.generation(holed(NAN));
        with_huge.generation(holed(1e300));
    }
    CHECK(std::equal(Cma::mean(with_nan.state.data()),
                     Cma::mean(with_nan.state.data()) + 3,
                     Cma::mean(with_huge.state.data())));
}

TEST_CASE("cma: a search has converged when its values are equal, or sigma is small, and not before") {
    const Cma cma(3, 7);
    Search flat(cma, 1), good(cma, 1);
    int generations = 0;
    while (!cma.has_converged(flat.state.data(), 1e-12)) {
        flat.generation([](const Vector&) { return 1.0; });
        ++generations;
    }
    CHECK(generations == 10);
    double best = 1;
    while (!cma.has_converged(good.state.data(), 1e-12)) best = good.generation(ellipsoid);
    CHECK(best < 1e-12);
}

TEST_CASE("cma: a search ends where the best values stay the same, and where none is better for long") {
    const Cma cma(3, 7);
    Search plateau(cma, 1), noise(cma, 1);
    int generations = 0, calls = 0;
    for (; !cma.has_converged(plateau.state.data(), 1e-12); ++generations)
        plateau.generation([&](const Vector&) { return ++calls % 7 == 0 ? 1.0 : double(2 + calls % 5); });
    CHECK(generations == 10);
    Stream random(Key{5, 6}, 0);
    calls = generations = 0;
    for (; !cma.has_converged(noise.state.data(), 1e-12); ++generations)
        noise.generation([&](const Vector&) { return ++calls == 30 ? 0.0 : 1 + random.uniform(); });
    CHECK(generations == 5 + 175);  // more than 100 + 100 * 3^1.5 / 7 after the fifth
}

TEST_CASE("cma: a search whose values are all infinite ends") {
    const Cma cma(3, 7);
    Search search(cma, 1);
    int generations = 0;
    for (; !cma.has_converged(search.state.data(), 1e-12); ++generations)
        search.generation([](const Vector&) { return HUGE_VAL; });
    CHECK(generations == 10);
}

TEST_CASE("symmetric eigen: V diag(values) V^T is the matrix, and one that is not finite is refused") {
    RowMatrix<double> a(3, 3), v(3, 3);
    a << 2, 1, 0, 1, 3, -1, 0, -1, 5;
    double values[3];
    REQUIRE(symmetric_eigen(a, values, v));
    CHECK((v * row_vector(values, 3).asDiagonal() * v.transpose() - a).norm() < 1e-14);
    CHECK((v.transpose() * v - Eigen::Matrix3d::Identity()).norm() < 1e-14);
    a(2, 0) = NAN;
    CHECK_FALSE(symmetric_eigen(a, values, v));
}
