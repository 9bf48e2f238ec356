// Dense products and factorisations, which take compilers tens of seconds. Header-only unless
// L2O_NUMERICS_LINKED is defined: then they are declared only, and come from one source compiled with
// L2O_NUMERICS_DEFINE as well (sdk/numerics/dense.cpp), which a tree of many plugins links into each.
#pragma once

#include <Eigen/Core>

#include "l2o/numerics/view.hpp"

#if !defined(L2O_NUMERICS_LINKED)
#define L2O_NUMERICS_DEFINE
#define L2O_NUMERICS_FUNCTION inline
#else
#define L2O_NUMERICS_FUNCTION
#endif

namespace l2o::numerics {

/// Row-major matrices, borrowed without a copy: those of views, of maps, of whole matrices.
template <class T>
using Rows = Eigen::Ref<RowMatrix<T>, 0, Eigen::OuterStride<>>;
template <class T>
using ConstRows = Eigen::Ref<const RowMatrix<T>, 0, Eigen::OuterStride<>>;

/// c += alpha a b, of shapes (m, n) = (m, k) (k, n). T is float or double, here and below. c overlaps neither
/// factor. The order of the sums depends on the shapes: a row's result on how many rows there are.
template <class T>
void add_product(Rows<T> c, T alpha, const ConstRows<T>& a, const ConstRows<T>& b);

/// c += alpha a b^T, of shapes (m, n) = (m, k) (n, k)^T.
template <class T>
void add_product_nt(Rows<T> c, T alpha, const ConstRows<T>& a, const ConstRows<T>& b);

/// c += alpha a^T b, of shapes (m, n) = (k, m)^T (k, n).
template <class T>
void add_product_tn(Rows<T> c, T alpha, const ConstRows<T>& a, const ConstRows<T>& b);

}  // namespace l2o::numerics

#ifdef L2O_NUMERICS_DEFINE
namespace l2o::numerics {

template <class T>
void add_product(Rows<T> c, T alpha, const ConstRows<T>& a, const ConstRows<T>& b) {
    if (c.rows() == 1)  // no packing of b for one vector
        c.row(0).noalias() += alpha * (a.row(0) * b);
    else
        c.noalias() += alpha * (a * b);
}

template <class T>
void add_product_nt(Rows<T> c, T alpha, const ConstRows<T>& a, const ConstRows<T>& b) {
    if (c.rows() == 1)
        c.row(0).noalias() += alpha * (a.row(0) * b.transpose());
    else
        c.noalias() += alpha * (a * b.transpose());
}

template <class T>
void add_product_tn(Rows<T> c, T alpha, const ConstRows<T>& a, const ConstRows<T>& b) {
    c.noalias() += alpha * (a.transpose() * b);
}

}  // namespace l2o::numerics
#endif
