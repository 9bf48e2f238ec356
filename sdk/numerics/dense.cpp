#define L2O_NUMERICS_DEFINE
#include "l2o/numerics/dense.hpp"

#include "l2o/numerics/analytic_weight.hpp"
#include "l2o/numerics/lipschitz.hpp"
#include "l2o/numerics/pseudo_inverse.hpp"
#include "l2o/numerics/symmetric_eigen.hpp"

#ifndef L2O_NUMERICS_LINKED
#error "dense.cpp defines what other sources see declared only: compile all with L2O_NUMERICS_LINKED"
#endif

namespace l2o::numerics {

#define L2O_INSTANTIATE(T)                                                                 \
    template void add_product<T>(Rows<T>, T, const ConstRows<T>&, const ConstRows<T>&);    \
    template void add_product_nt<T>(Rows<T>, T, const ConstRows<T>&, const ConstRows<T>&); \
    template void add_product_tn<T>(Rows<T>, T, const ConstRows<T>&, const ConstRows<T>&)
L2O_INSTANTIATE(float);
L2O_INSTANTIATE(double);

}  // namespace l2o::numerics
