#pragma once

#include <cmath>
#include <cstdint>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <l2o/sdk/scratch.hpp>
#include <memory>

#include "measurement_model.hpp"

namespace l2o::plugins {

/// f(x) = 1/2 ||Ax - b||^2 + lambda ||x||_1 with one A [m, n] for all instances. What the problems of this
/// form share: their objective, and instances b = A x + noise of sparse signals x,
///   A_ij ~ N(0, 1/m), columns scaled to norm 1;   x_i ~ Bernoulli(density) N(0, 1);
/// or with the matrix, or also the instances, of a user.
class L1LeastSquares : public MeasurementModel {
  public:
    double lambda = 0, density = 0.1, init_std = 0;

    /// @param m_doc, n_doc  of the sizes, with what 0 stands for without a matrix.
    template <class Problem>
    static Options<Problem> options(const char* m_doc, const char* n_doc) {
        Options<Problem> options = MeasurementModel::options<Problem>(m_doc, n_doc);
        options.real("lambda", &Problem::lambda, "weight of ||x||_1", kPositive)
            .real("density",
                  &Problem::density,
                  "expected share of non-zero entries of the signal",
                  between(0, 1))
            .real("init_std",
                  &Problem::init_std,
                  "standard deviation of the entries of the start; 0: start at 0",
                  kNonNegative);
        return options;
    }

    /// The gradient of f where it has one: A^T (A x - b) + lambda sign(x), sign(0) = 0.
    template <class T>
    void eval(const EvalIn<T>& in, const EvalOut<T>& out) const {
        const auto x = numerics::matrix(in.x(0));
        const T weight = in.data(lambda_).scalar();
        auto residual = numerics::matrix(Scratch(in.call).rows<T>(in.rows(), m));
        residual.setZero();
        numerics::add_product_nt<T>(residual, 1, x, numerics::matrix(in.data(a_)));
        for (std::int64_t r = 0; r < in.rows(); ++r)
            residual.row(r) -= numerics::row_vector(in.row(b_, r), m);
        if (const View<T> f = out.f())
            for (std::int64_t r = 0; r < in.rows(); ++r)
                f[r] = residual.row(r).squaredNorm() / 2 + weight * x.row(r).template lpNorm<1>();
        if (const View<T> g = out.g(0)) {
            fill(g, 0);
            numerics::add_product<T>(numerics::matrix(g), 1, residual, numerics::matrix(in.data(a_)));
            each([weight](T x_i, T& g_i) { g_i += weight * T((x_i > 0) - (x_i < 0)); }, in.x(0), g);
        }
    }

    /// A^T A v, the Hessian where there is one.
    template <class T>
    void hvp(const EvalIn<T>& in, const Tensors<const T>& v_of, const Tensors<T>& hv_of) const {
        const auto a = numerics::matrix(in.data(a_));
        auto av = numerics::matrix(Scratch(in.call).rows<T>(in.rows(), m));
        av.setZero();
        numerics::add_product_nt<T>(av, 1, numerics::matrix(v_of[0]), a);
        fill(hv_of[0], 0);
        numerics::add_product<T>(numerics::matrix(hv_of[0]), 1, av, a);
    }

    /// argmin_u 1/2 ||u - x||^2 + tau lambda ||u||_1: of the non-smooth term alone.
    template <class T>
    void prox(const EvalIn<T>& in, const View<const T>& tau, const Tensors<T>& u) const {
        const View<const T> x = in.x(0);
        const T weight = in.data(lambda_).scalar();
        for (std::int64_t r = 0; r < in.rows(); ++r)
            numerics::soft_threshold<T>(numerics::row(x, r), tau[r] * weight, numerics::row(u[0], r));
    }

    template <class T>
    void init_point(const l2o_call& call, const DataIn<T>&, const Tensors<T>& x) const {
        if (init_std == 0) return fill(x[0], 0);
        numerics::fill_rows(
            x[0], call.key, call.row0, 0, [this](auto& draws) { return init_std * draws.normal(); });
    }

  protected:
    L1LeastSquares(std::int64_t default_m, std::int64_t default_n, double default_lambda)
        : MeasurementModel(default_m, default_n), lambda(default_lambda) {}

    /// Reads the files; then the block and the data tensors but x_star_.
    void declare_model(OptimizeeSpec& spec) {
        open_files(spec.dtype());
        if (spec.dtype() == L2O_DTYPE_F32 && !(float(lambda) > 0 && std::isfinite(float(lambda))))
            invalid("lambda is no number > 0 of float32; set dtype to float64");
        // Products of whole batches: the order of a sum depends on the number of rows.
        spec.drop(L2O_FLAG_ROW_INVARIANT);
        spec.block({.name = "x", .doc = "the unknown signal", .axes = "n", .shape = {n}});
        a_ = spec.data({.name = "A", .doc = "measurement matrix", .axes = "m,n", .shape = {m, n}});
        b_ = spec.data({.name = "b", .doc = "measurements", .axes = "m", .shape = {m}, .batched = true});
        lambda_ = spec.data({.name = "lambda", .doc = "weight of ||x||_1"});
        spec.scratch([this](Scratch& scratch, std::int64_t rows, auto scalar) {
            scratch.rows<decltype(scalar)>(rows, m);
        });
    }

    /// Draws the data tensors that are wanted. Draws are in double, so that both element types see the same
    /// instances to rounding.
    /// @param make_noise  called with the stream of the instance's noise and b, which it may change.
    template <class T, class MakeNoise>
    void sample_model(const Draw& draw,
                      const DataOut<T>& data,
                      const View<T>& x_star,
                      MakeNoise&& make_noise) const {
        if (data[lambda_]) data[lambda_].scalar() = T(lambda);
        const View<T> b = data[b_];
        if (data[a_]) numerics::matrix(data[a_]) = matrix_of(draw.call)->template cast<T>();
        if (samples() && b) samples()->read(draw, "b", b);
        if (samples() && x_star) samples()->read(draw, "x_star", x_star);
        if (samples() || (!b && !x_star)) return;
        const std::shared_ptr<const Eigen::MatrixXd> held = matrix_of(draw.call);
        const Eigen::MatrixXd& a = *held;
        Eigen::VectorXd measured(m);
        for (std::int64_t r = 0; r < draw.count; ++r) {
            const std::uint64_t instance = draw.first + static_cast<std::uint64_t>(r);
            numerics::Stream signal(draw.call.key, instance, draw.purpose(x_star_));
            measured.setZero();
            for (std::int64_t i = 0; i < n; ++i) {
                const double x = signal.uniform() < density ? signal.normal() : 0;
                if (x != 0) measured += x * a.col(i);
                if (x_star) x_star(r, i) = T(x);
            }
            if (!b) continue;
            make_noise(numerics::Stream(draw.call.key, instance, draw.purpose(b_)), measured);
            numerics::row_vector(b.row(r), m) = measured.transpose().cast<T>();
        }
    }

    Data a_, b_, lambda_, x_star_;
};

}  // namespace l2o::plugins
