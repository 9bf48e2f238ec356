// The weight matrix of ALISTA, in closed form.
#pragma once

#include <stdexcept>
#include <string>

#include "l2o/numerics/dense.hpp"
#include "l2o/numerics/lipschitz.hpp"
#ifdef L2O_NUMERICS_DEFINE
#include <Eigen/Cholesky>
#include <limits>
#endif

namespace l2o::numerics {

/// max over i != j of |w_i^T a_j|, the generalized mutual coherence of W and A, whose diagonal is 1.
/// With W = A of unit columns it is the coherence of A.
/// @param w, a  shape (m, n).
/// Source: Liu, Chen, Wang & Yin 2019 (ALISTA).   Cost: O(m n^2) time, O(n^2) memory.
template <class DerivedW, class DerivedA>
double mutual_coherence(const Eigen::MatrixBase<DerivedW>& w, const Eigen::MatrixBase<DerivedA>& a) {
    const ConstRows<double> w_wide(w.template cast<double>()), a_wide(a.template cast<double>());
    RowMatrix<double> cross = RowMatrix<double>::Zero(w.cols(), a.cols());
    add_product_tn<double>(cross, 1, w_wide, a_wide);
    cross.diagonal().setZero();
    return cross.size() == 0 ? 0 : cross.cwiseAbs().maxCoeff();
}

/// The W that minimises sum over i != j of (w_i^T a_j)^2 subject to w_j^T a_j = 1:
///   G = A A^T + ridge I,   w_j = G^-1 a_j / (a_j^T G^-1 a_j),
/// in double whatever the scalar of A. The columns of A need not have unit norm. A ridge > 0 (absolute, added
/// to the diagonal) gives up the minimum for a solvable system; w_j^T a_j = 1 holds all the same. Allocates.
/// @param a  shape (m, n).
/// @return   shape (m, n), row-major.
/// @throw std::invalid_argument if G is singular to working precision (always, without a ridge, if m > n),
///        if a column is zero, an entry not finite or the ridge negative.
/// Source: the Frobenius-norm problem of Liu, Chen, Wang & Yin 2019 (ALISTA), solved column by column with a
/// Lagrange multiplier; the term i = j that G adds is constant under the constraint.
/// Cost: O(m^2 n + m^3).
L2O_NUMERICS_FUNCTION RowMatrix<double> analytic_weight(const RowMatrix<double>& a, double ridge = 0);
template <class Derived>
RowMatrix<double> analytic_weight(const Eigen::MatrixBase<Derived>& a, double ridge = 0) {
    return analytic_weight(RowMatrix<double>(a.template cast<double>()), ridge);
}

/// The G for which G A has unit columns of least coherence, so that it is its own weight: of the system
/// G A x = G b, and G^T G A that of A x = b. With M = G^T G, the minimum of sum over i != j of (a_i^T M
/// a_j)^2 subject to a_j^T M a_j = 1 has, with P = A^T (A A^T)^-1 A and o entry by entry,
///   M = (A A^T)^-1 A diag(mu) A^T (A A^T)^-1,   (P o P) mu = 1.
/// In double whatever the scalar of A. Allocates.
/// @param a  shape (m, n).
/// @return   shape (m, m), upper triangular, row-major.
/// @throw std::invalid_argument as analytic_weight does, if two columns are parallel, and if the M of this
///        formula is not positive definite, as it may be for columns of very different norms.
/// Source: the symmetric parametrisation of Chen, Liu, Wang & Yin 2021 (HyperLISTA, arXiv:2110.15900), who
/// approach it by projected gradients with a penalty; the closed form is that of a Lagrange multiplier.
/// Cost: O(n^3).
L2O_NUMERICS_FUNCTION RowMatrix<double> symmetric_transform(const RowMatrix<double>& a, double ridge = 0);

/// W taken apart with G as there: W = G^-1 A diag(scale) and W^T A = diag(scale) gram, gram = A^T G^-1 A [n,
/// n] symmetric. A product with W^T A and one with its transpose read rows of one and the same matrix.
struct AnalyticGram {
    RowMatrix<double> w, gram;
    Eigen::RowVectorXd scale;
};
/// @throw std::invalid_argument  as analytic_weight.   Cost: O(m n^2 + m^2 n + m^3).
L2O_NUMERICS_FUNCTION AnalyticGram analytic_gram(const RowMatrix<double>& a, double ridge = 0);

}  // namespace l2o::numerics

#ifdef L2O_NUMERICS_DEFINE
namespace l2o::numerics {

namespace detail {

/// (A A^T + ridge I)^-1 A.
L2O_NUMERICS_FUNCTION RowMatrix<double> whitened(const RowMatrix<double>& a, double ridge) {
    if (!a.allFinite()) throw std::invalid_argument("analytic weight: A has an entry that is not finite");
    if (!(ridge >= 0))
        throw std::invalid_argument("analytic weight: ridge is " + std::to_string(ridge) +
                                    "; expected a number >= 0");
    const double unit = unit_scale(a);
    const RowMatrix<double> scaled = unit * a;
    RowMatrix<double> gram = RowMatrix<double>::Zero(a.rows(), a.rows());
    add_product_nt<double>(gram, 1, scaled, scaled);
    gram.diagonal().array() += ridge * unit * unit;

    const Eigen::LLT<Eigen::MatrixXd> cholesky(gram);
    const double rcond_min = double(gram.rows()) * std::numeric_limits<double>::epsilon();
    if (cholesky.info() != Eigen::Success || cholesky.rcond() < rcond_min)
        throw std::invalid_argument("analytic weight: A A^T is singular to working precision (A is " +
                                    std::to_string(a.rows()) + " x " + std::to_string(a.cols()) +
                                    "); expected independent rows; set a ridge > 0");

    return unit * cholesky.solve(scaled);
}

/// 1 / (a_j^T w_j): what makes a column w_j an admissible weight.
L2O_NUMERICS_FUNCTION Eigen::RowVectorXd admissible_scale(const RowMatrix<double>& a,
                                                          const RowMatrix<double>& w) {
    const Eigen::RowVectorXd scale = a.cwiseProduct(w).colwise().sum().cwiseInverse();
    for (Eigen::Index j = 0; j < scale.size(); ++j)
        if (!(scale[j] > 0 && scale[j] < std::numeric_limits<double>::infinity()))
            throw std::invalid_argument("analytic weight: column " + std::to_string(j) + " of A is zero");
    return scale;
}

}  // namespace detail

L2O_NUMERICS_FUNCTION RowMatrix<double> analytic_weight(const RowMatrix<double>& a, double ridge) {
    RowMatrix<double> w = detail::whitened(a, ridge);
    w *= detail::admissible_scale(a, w).asDiagonal();
    return w;
}

L2O_NUMERICS_FUNCTION RowMatrix<double> symmetric_transform(const RowMatrix<double>& a, double ridge) {
    const RowMatrix<double> whitened = detail::whitened(a, ridge);
    RowMatrix<double> p = RowMatrix<double>::Zero(a.cols(), a.cols());
    add_product_tn<double>(p, 1, a, whitened);
    const Eigen::LLT<Eigen::MatrixXd> squares(p.cwiseAbs2());
    if (squares.info() != Eigen::Success ||
        squares.rcond() < double(a.cols()) * std::numeric_limits<double>::epsilon())
        throw std::invalid_argument(
            "symmetric transform: columns of A are zero or parallel; expected columns of different "
            "directions");
    const Eigen::VectorXd mu = squares.solve(Eigen::VectorXd::Ones(a.cols()));
    RowMatrix<double> metric = RowMatrix<double>::Zero(a.rows(), a.rows());
    add_product_nt<double>(metric, 1, whitened * mu.asDiagonal(), whitened);
    const Eigen::LLT<Eigen::MatrixXd> root(metric);
    if (root.info() != Eigen::Success)
        throw std::invalid_argument(
            "symmetric transform: no positive definite metric in closed form for this A; take the analytic "
            "weight");
    return root.matrixU();
}

L2O_NUMERICS_FUNCTION AnalyticGram analytic_gram(const RowMatrix<double>& a, double ridge) {
    AnalyticGram parts;
    parts.w = detail::whitened(a, ridge);
    parts.scale = detail::admissible_scale(a, parts.w);
    parts.gram = RowMatrix<double>::Zero(a.cols(), a.cols());
    add_product_tn<double>(parts.gram, 1, a, parts.w);
    parts.w *= parts.scale.asDiagonal();
    return parts;
}

}  // namespace l2o::numerics
#endif
