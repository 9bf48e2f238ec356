#pragma once

#include <algorithm>
#include <cmath>

#include "tanh_net.hpp"

namespace l2o::plugins {

/// A generator G of weights u and a discriminator D of weights v at some draws z, x, [n, inputs] each:
///   V = mean ln s(D(x)) + mean ln s(-D(G(z))) - gamma / 2 mean |dD/dx|^2,  s(a) = 1 / (1 + e^-a).
/// Nets and weights have to stay.
template <class N>
class AdversarialNets {
    using Matrix = RowMatrix<N>;

  public:
    struct Player {
        const TanhNet& net;
        const N* weights;
    };
    AdversarialNets(const Player& u, const Player& v, double gamma, const Matrix& z, const Matrix& x)
        : u_(u),
          v_(v),
          gamma_(gamma),
          generated_(u.net, u.weights, z),
          fake_(v.net, v.weights, generated_.output()),
          real_(v.net, v.weights, x) {
        if (gamma > 0) slope_ = real_.slope();
    }

    [[nodiscard]] double value() const {
        const double penalty = slope_.template cast<double>().squaredNorm() / double(real_.output().rows());
        return mean_log_logistic(real_.output(), 1) + mean_log_logistic(fake_.output(), -1) -
               gamma_ / 2 * penalty;
    }
    /// Writes dV/du and dV/dv; NULL: not wanted.
    void gradient(N* g_u, N* g_v) {
        if (g_u == nullptr && g_v == nullptr) return;
        if (g_v != nullptr) std::fill_n(g_v, v_.net.size(), N(0));
        const Matrix generated_bar = fake_.reverse(by_logit(fake_.output(), -1), g_v);
        if (g_u != nullptr) {
            std::fill_n(g_u, u_.net.size(), N(0));
            generated_.reverse(generated_bar, g_u);
        }
        if (g_v == nullptr) return;
        if (gamma_ > 0) real_.reverse_slope(N(-gamma_ / double(slope_.rows())) * slope_, g_v);
        real_.reverse(by_logit(real_.output(), 1), g_v);
    }

  private:
    /// The mean of ln s(sign logit), without overflow.
    static double mean_log_logistic(const Matrix& logits, double sign) {
        double sum = 0;
        for (const N logit : logits.reshaped()) {
            const double a = sign * double(logit);
            sum += std::min(a, 0.0) - std::log1p(std::exp(-std::abs(a)));
        }
        return sum / double(logits.rows());
    }
    /// Its derivative by the logits: s(-a) = (1 - tanh(a / 2)) / 2.
    static Matrix by_logit(const Matrix& logits, double sign) {
        const double each = sign / double(logits.rows()) / 2;
        return N(each) * (N(1) - (N(sign / 2) * logits.array()).tanh()).matrix();
    }

    Player u_, v_;
    double gamma_;
    TanhNet::Pass<N> generated_, fake_, real_;
    Matrix slope_;
};

}  // namespace l2o::plugins
