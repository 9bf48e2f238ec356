#pragma once

#include <cstdint>
#include <l2o/numerics/view.hpp>

namespace l2o::dictionary {

using Matrix = numerics::RowMatrix<double>;

/// Rows of norm 1 whose entries add up to 0, like those of the patches: normalised Gaussian draws.
[[nodiscard]] Matrix random_atoms(std::int64_t atoms, std::int64_t pixels, std::uint64_t seed);

/// min over D and X of F(D, X) = 1/2 ||X D - Y||_F^2 + lambda ||X||_1 with ||d_j||_2 = 1, by block proximal
/// gradient. Patches y_i, codes x_i and atoms d_j are rows: this is the transpose of what papers write, for
/// the sake of contiguous memory.
/// Source: Xu & Yin 2013, "A block coordinate descent method for regularized multiconvex optimization with
/// applications to nonnegative tensor factorization and completion", algorithm 1 with prox-linear updates,
/// extrapolation and restart.
/// Cost per step: 2 N n m flops for N patches of m pixels and n atoms, and a few per nonzero of X.
class DictionaryLearning {
  public:
    /// @param patches  Y, shape (N, m).
    /// @param atoms    where D starts, shape (n, m), rows of norm 1; X starts at 0.
    DictionaryLearning(Matrix patches, Matrix atoms, double lambda);

    /// One update of X, then one of D; extrapolated, unless that raises F. F never rises.
    void step();

    [[nodiscard]] double objective() const { return now_.objective; }
    /// D, shape (n, m), rows of norm 1.
    [[nodiscard]] const Matrix& atoms() const { return now_.d; }
    /// X, shape (N, n).
    [[nodiscard]] const Matrix& codes() const { return now_.x; }
    [[nodiscard]] double nonzeros_per_patch() const;

  private:
    struct Point {
        Matrix x, d;
        double l_x = 0, l_d = 0;  ///< Lipschitz constants of the two gradients at the last update; 0: none
        double objective = 0;
    };
    /// The next point, from now_ extrapolated by `momentum`.
    void advance(double momentum);

    Matrix y_;
    double lambda_, y_squared_;
    Point now_, before_, next_;
    double t_ = 1;  ///< of Nesterov's sequence
};

}  // namespace l2o::dictionary
