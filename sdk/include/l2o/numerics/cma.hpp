// The evolution strategy with covariance matrix adaptation (CMA-ES), by ask and tell.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "l2o/numerics/symmetric_eigen.hpp"

namespace l2o::numerics {

/// One generation after the other of lambda points mean + sigma y, y ~ N(0, C), minimising. Only the order of
/// the values counts. The object holds constants alone; a search is a vector of state_size() doubles, which
/// whoever runs it keeps:
///
///     const Cma cma(n, Cma::default_lambda(n));
///     std::vector<double> search(cma.state_size());
///     cma.start(search, x0, sigma0);
///     for (each generation) {
///         for (i < cma.lambda()) cma.draw(search, [&] { return random.normal(); }, row i of y);
///         cma.tell(search, values at mean + sigma y, y);
///     }
///
/// Source: Hansen 2016, "The CMA evolution strategy: a tutorial" (arXiv:1604.00772), table 1 and figure 6,
/// with its negative weights (active CMA, Jastrebski & Arnold 2006): as in PyPI's `cma`, and fewer
/// generations where the problem is ill-conditioned. separable: C is diagonal, and learned (n + 2) / 3 times
/// as fast (Ros & Hansen 2008, "A simple modification in CMA-ES achieving linear time and space complexity").
class Cma {
  public:
    /// @param epsilon  of the numbers in which f is evaluated: no tolerance is below their rounding
    /// @pre n >= 1, lambda >= 2
    Cma(Index n, Index lambda, bool separable = false, double epsilon = 0)
        : n_(n), separable_(separable), epsilon_(epsilon), weights_(lambda) {
        const double dim = double(n), mu = double(lambda) / 2;
        double positive = 0, positive2 = 0, negative = 0, negative2 = 0;
        for (Index i = 0; i < lambda; ++i) {
            const double w = weights_[i] = std::log(mu + 0.5) - std::log(double(i + 1));
            (w > 0 ? positive : negative) += std::abs(w);
            (w > 0 ? positive2 : negative2) += w * w;
        }
        mu_eff_ = positive * positive / positive2;
        c_sigma_ = (mu_eff_ + 2) / (dim + mu_eff_ + 5);
        d_sigma_ = 1 + 2 * std::max(0.0, std::sqrt((mu_eff_ - 1) / (dim + 1)) - 1) + c_sigma_;
        c_c_ = (4 + mu_eff_ / dim) / (dim + 4 + 2 * mu_eff_ / dim);
        const double faster = separable ? (dim + 2) / 3 : 1;
        c_1_ = std::min(0.5, faster * 2 / ((dim + 1.3) * (dim + 1.3) + mu_eff_));
        c_mu_ = std::min(1 - c_1_,
                         faster * 2 * (0.25 + mu_eff_ + 1 / mu_eff_ - 2) / ((dim + 2) * (dim + 2) + mu_eff_));
        chi_ = std::sqrt(dim) * (1 - 1 / (4 * dim) + 1 / (21 * dim * dim));
        stagnation_ = 100 + 100 * std::pow(dim, 1.5) / double(lambda);
        gap_ = std::max(1.0, std::floor(1 / (10 * dim * (c_1_ + c_mu_))));
        const double against = negative > 0 ? negative * negative / negative2 : 0;
        const double most =
            std::min({1 + c_1_ / c_mu_, 1 + 2 * against / (mu_eff_ + 2), (1 - c_1_ - c_mu_) / (dim * c_mu_)});
        for (double& w : weights_) w = w > 0 ? w / positive : most * w / negative;
    }

    /// 4 + floor(3 ln n).
    [[nodiscard]] static Index default_lambda(Index n) {
        return 4 + Index(std::floor(3 * std::log(double(n))));
    }
    [[nodiscard]] Index lambda() const { return Index(weights_.size()); }
    [[nodiscard]] Index size() const { return n_; }
    /// Doubles of a search: sigma, sigma at the start, the number of its generation, that of the last
    /// decomposition, the range of its values, the least value so far, the generation of that; mean, p_sigma,
    /// p_c, the lengths of the axes, of n each; C and its axes, n^2 each (separable: C alone, of n); the best
    /// values of the last generations.
    [[nodiscard]] Index state_size() const {
        return kMean + 4 * n_ + (separable_ ? n_ : 2 * n_ * n_) + remembered();
    }

    [[nodiscard]] static double sigma(const double* search) { return search[kSigma]; }
    [[nodiscard]] static const double* mean(const double* search) { return search + kMean; }
    /// Whether a search goes nowhere any more, after tests of PyPI's `cma` (4.5.0; Hansen 2016, appendix
    /// B.3): H, the best values of the last 10 + 30 n / lambda generations, of 10 at least, is within
    /// tolerance / 10 (TolFunHist), or within `tolerance` as the values of the last generation are (TolFun);
    /// no value was better than all before for 100 + 100 n^1.5 / lambda generations (TolStagnation, which
    /// compares medians of longer histories there); the widest axis is below tolerance sigma_0 (TolX) or 1e4
    /// sigma_0 times what it was (TolXUp), the condition of C is above 1e14, or a number is none. No
    /// tolerance is below what the rounding of f and x lets be told apart.
    [[nodiscard]] bool has_converged(const double* search, double tolerance) const {
        const auto [least, most] = std::minmax_element(axes(search), axes(search) + n_);
        const double widest = search[kSigma] * *most / search[kSigma0], generation = search[kGeneration];
        if (!(widest >= std::max(tolerance, epsilon_) && widest <= 1e4 && *most <= 1e7 * *least)) return true;
        if (generation - search[kBestAt] > stagnation_) return true;
        const Index known = std::min(remembered(), Index(generation));
        if (known < 10) return false;
        const auto [best, worst] = std::minmax_element(history(search), history(search) + known);
        // 8, chosen: sums of some terms are no more exact.
        const double rounding = std::isfinite(*best) ? 8 * epsilon_ * std::abs(*best) : 0;
        const double few = std::max(tolerance / 10, rounding), some = std::max(tolerance, rounding);
        const bool is_even = !(*worst - *best > few);  // also where all are infinite
        return is_even || (search[kRange] <= some && *worst - *best <= some);
    }

    /// At `mean`, n numbers, with C = I.
    void start(double* search, const double* mean, double sigma) const {
        std::fill_n(search, state_size(), 0.0);
        search[kSigma] = search[kSigma0] = sigma;
        std::copy_n(mean, n_, search + kMean);
        std::fill_n(axes(search), n_, 1.0);
        std::fill_n(c(search), separable_ ? n_ : 0, 1.0);
        if (separable_) return;
        square(c(search)).setIdentity();
        square(b(search)).setIdentity();
    }

    /// A draw from N(0, C).
    /// @param normal  () -> double, called n times
    template <class Normal>
    void draw(const double* search, Normal&& normal, double* y) const {
        if (separable_) {
            for (Index i = 0; i < n_; ++i) y[i] = axes(search)[i] * normal();
            return;
        }
        auto out = row_vector(y, n_);
        out.setZero();
        for (Index j = 0; j < n_; ++j) out += axes(search)[j] * normal() * square(b(search)).row(j);
    }

    /// Ends a generation.
    /// @param f  lambda values; what is no number counts as the worst.
    /// @param y  shape (lambda, n), what draw() gave.   Cost: lambda n^2, and 9 n^3 for a decomposition.
    void tell(double* search, std::span<const double> f, const ConstRows<double>& y) const {
        std::vector<Index> order(f.size());
        std::iota(order.begin(), order.end(), Index(0));
        const auto value = [&](Index i) {
            return std::isnan(f[std::size_t(i)]) ? HUGE_VAL : f[std::size_t(i)];
        };
        std::stable_sort(order.begin(), order.end(), [&](Index i, Index j) { return value(i) < value(j); });

        Vector step = Vector::Zero(n_);
        for (Index i = 0; i < lambda(); ++i) {
            if (weight(i) > 0) step += weight(i) * y.row(order[std::size_t(i)]);
        }
        row_vector(search + kMean, n_) += search[kSigma] * step;
        auto p_sigma = row_vector(search + kMean + n_, n_), p_c = row_vector(search + kMean + 2 * n_, n_);
        p_sigma = (1 - c_sigma_) * p_sigma +
                  std::sqrt(c_sigma_ * (2 - c_sigma_) * mu_eff_) * whitened(search, step);
        const Index past = Index(search[kGeneration]) % remembered();
        const double generation = ++search[kGeneration];
        history(search)[past] = value(order.front());
        search[kRange] = value(order.back()) - value(order.front());
        if (value(order.front()) < search[kBest] || generation == 1)
            search[kBest] = value(order.front()), search[kBestAt] = generation;
        const double length = p_sigma.norm() / chi_;
        const double unbiased = length / std::sqrt(1 - std::pow(1 - c_sigma_, 2 * generation));
        const bool is_steady = unbiased < 1.4 + 2 / (double(n_) + 1);
        p_c *= 1 - c_c_;
        if (is_steady) p_c += std::sqrt(c_c_ * (2 - c_c_) * mu_eff_) * step;

        const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
        const double missing = is_steady ? 0 : c_1_ * c_c_ * (2 - c_c_);
        row_vector(c(search), c_size()) *= 1 + missing - c_1_ - c_mu_ * sum;
        add_square(search, c_1_, p_c);
        for (Index i = 0; i < lambda(); ++i) {
            const Vector y_i = y.row(order[std::size_t(i)]);
            // A negative weight acts on a vector of the expected length: C stays positive definite.
            const double factor = weight(i) >= 0 ? 1 : double(n_) / whitened(search, y_i).squaredNorm();
            add_square(search, c_mu_ * weight(i) * factor, y_i);
        }
        search[kSigma] *= std::exp(std::min(1.0, c_sigma_ / d_sigma_ * (length - 1)));
        if (separable_ || generation - search[kDecomposed] >= gap_) decompose(search);
    }

  private:
    using Vector = Eigen::RowVectorXd;
    template <class Double>
    using Square =
        Eigen::Map<std::conditional_t<std::is_const_v<Double>, const RowMatrix<double>, RowMatrix<double>>>;
    enum Place : Index { kSigma, kSigma0, kGeneration, kDecomposed, kRange, kBest, kBestAt, kMean };

    [[nodiscard]] double weight(Index i) const { return weights_[std::size_t(i)]; }
    template <class Double>
    [[nodiscard]] Double* axes(Double* search) const {
        return search + kMean + 3 * n_;
    }
    template <class Double>
    [[nodiscard]] Double* c(Double* search) const {
        return search + kMean + 4 * n_;
    }
    [[nodiscard]] Index c_size() const { return separable_ ? n_ : n_ * n_; }
    /// Its rows are the axes.
    template <class Double>
    [[nodiscard]] Double* b(Double* search) const {
        return c(search) + n_ * n_;
    }
    template <class Double>
    [[nodiscard]] Double* history(Double* search) const {
        return c(search) + (separable_ ? n_ : 2 * n_ * n_);
    }
    [[nodiscard]] Index remembered() const { return 10 + (30 * n_ + lambda() - 1) / lambda(); }
    template <class Double>
    [[nodiscard]] Square<Double> square(Double* at) const {
        return {at, n_, n_};
    }
    /// C^(-1/2) v of the C that points are drawn from.
    [[nodiscard]] Vector whitened(const double* search, const Vector& v) const {
        const auto lengths = row_vector(axes(search), n_);
        if (separable_) return v.cwiseQuotient(lengths);
        Vector out = Vector::Zero(n_);
        for (Index j = 0; j < n_; ++j) {
            const auto axis = square(b(search)).row(j);
            out += axis.dot(v) / lengths[j] * axis;
        }
        return out;
    }
    /// C += a v v^T.
    template <class Values>
    void add_square(double* search, double a, const Values& v) const {
        if (separable_) {
            row_vector(c(search), n_) += a * v.cwiseAbs2();
            return;
        }
        for (Index j = 0; j < n_; ++j) square(c(search)).row(j) += a * v[j] * v;
    }
    /// An axis that rounding has made flat or worse keeps the least length that numbers can tell from none.
    void decompose(double* search) const {
        search[kDecomposed] = search[kGeneration];
        if (separable_) {
            std::copy_n(c(search), n_, axes(search));
        } else {
            RowMatrix<double> vectors(n_, n_);
            if (!symmetric_eigen(square(c(search)), axes(search), vectors)) return;
            square(b(search)) = vectors.transpose();
        }
        const double floor = 1e-16 * *std::max_element(axes(search), axes(search) + n_);
        for (Index i = 0; i < n_; ++i) axes(search)[i] = std::sqrt(std::max(axes(search)[i], floor));
    }

    Index n_;
    bool separable_;
    double epsilon_;
    std::vector<double> weights_;
    double mu_eff_, c_sigma_, d_sigma_, c_c_, c_1_, c_mu_, chi_, gap_, stagnation_;
};

}  // namespace l2o::numerics
