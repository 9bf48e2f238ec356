#include "dictionary.hpp"

#include <algorithm>
#include <cmath>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <utility>

namespace l2o::dictionary {
namespace {

/// How far to extrapolate a block, after Xu & Yin 2013: Nesterov's momentum, bounded by the growth of L.
double weight_of(double momentum, double l_before, double l) {
    return l_before > 0 ? std::min(momentum, 0.9999 * std::sqrt(l_before / l)) : 0;
}

// Codes are sparse: products with them skip zeros, 20 of 512 entries at the end.

/// c += x b.
void add_sparse_product(Matrix& c, const Matrix& x, const Matrix& b) {
    for (Eigen::Index i = 0; i < x.rows(); ++i) {
        for (Eigen::Index k = 0; k < x.cols(); ++k)
            if (x(i, k) != 0) c.row(i) += x(i, k) * b.row(k);
    }
}

/// c += x^T b.
void add_sparse_product_tn(Matrix& c, const Matrix& x, const Matrix& b) {
    for (Eigen::Index i = 0; i < x.rows(); ++i) {
        for (Eigen::Index k = 0; k < x.cols(); ++k)
            if (x(i, k) != 0) c.row(k) += x(i, k) * b.row(i);
    }
}

}  // namespace

Matrix random_atoms(std::int64_t atoms, std::int64_t pixels, std::uint64_t seed) {
    constexpr std::uint64_t kAtomTag = 0x61746f6d;
    Matrix d(atoms, pixels);
    for (std::int64_t j = 0; j < atoms; ++j) {
        numerics::Stream draws(numerics::Key{seed, kAtomTag}, static_cast<std::uint64_t>(j));
        for (double& d_ji : d.row(j)) d_ji = draws.normal();
    }
    d.colwise() -= d.rowwise().mean().eval();
    d.rowwise().normalize();
    return d;
}

DictionaryLearning::DictionaryLearning(Matrix patches, Matrix atoms, double lambda)
    : y_(std::move(patches)), lambda_(lambda), y_squared_(y_.squaredNorm()) {
    now_.x = Matrix::Zero(y_.rows(), atoms.rows());
    now_.d = std::move(atoms);
    now_.objective = y_squared_ / 2;
    before_ = next_ = now_;
}

void DictionaryLearning::step() {
    const double t_next = (1 + std::sqrt(1 + 4 * t_ * t_)) / 2;
    advance((t_ - 1) / t_next);
    t_ = t_next;
    if (next_.objective > now_.objective) {
        t_ = 1;
        advance(0);
    }
    std::swap(before_, now_);
    std::swap(now_, next_);
}

void DictionaryLearning::advance(double momentum) {
    next_.l_x = numerics::spectral_norm_squared(now_.d);
    const double weight_x = weight_of(momentum, now_.l_x, next_.l_x);
    const Matrix x = now_.x + weight_x * (now_.x - before_.x);
    Matrix residual = -y_;
    add_sparse_product(residual, x, now_.d);
    next_.x = x;
    numerics::add_product_nt<double>(next_.x, -1 / next_.l_x, residual, now_.d);
    const double threshold = lambda_ / next_.l_x;
    next_.x = next_.x.unaryExpr([=](double z) { return numerics::soft_threshold(z, threshold); });

    const Eigen::Index n = now_.d.rows();
    Matrix gram = Matrix::Zero(n, n), cross = Matrix::Zero(n, y_.cols());
    add_sparse_product_tn(gram, next_.x, next_.x);
    add_sparse_product_tn(cross, next_.x, y_);
    next_.l_d = std::sqrt(numerics::spectral_norm_squared(gram));
    next_.d = now_.d;
    Matrix product = Matrix::Zero(n, y_.cols());
    if (next_.l_d > 0) {  // some code is not 0
        const double weight_d = weight_of(momentum, now_.l_d, next_.l_d);
        next_.d += weight_d * (now_.d - before_.d);
        numerics::add_product<double>(product, 1, gram, next_.d);
        next_.d -= (product - cross) / next_.l_d;
        next_.d.rowwise().normalize();
        product.setZero();
        numerics::add_product<double>(product, 1, gram, next_.d);
    }
    next_.objective = y_squared_ / 2 - next_.d.cwiseProduct(cross).sum() +
                      next_.d.cwiseProduct(product).sum() / 2 + lambda_ * next_.x.lpNorm<1>();
}

double DictionaryLearning::nonzeros_per_patch() const {
    return static_cast<double>((now_.x.array() != 0).count()) / static_cast<double>(now_.x.rows());
}

}  // namespace l2o::dictionary
