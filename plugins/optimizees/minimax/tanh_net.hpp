#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/view.hpp>
#include <utility>
#include <vector>

namespace l2o::plugins {

using numerics::row_vector, numerics::RowMatrix;

/// A fully connected net: a_0 its inputs, a_l = tanh(a_{l-1} W_l + b_l), at the end a_{L-1} W_L + b_L. Its
/// weights lie one after the other, W_1 [in, out] by row, b_1, W_2 ...
class TanhNet {
  public:
    TanhNet() = default;
    /// @param widths  inputs, hidden layers, outputs
    explicit TanhNet(std::vector<std::int64_t> widths) : widths_(std::move(widths)) {
        for (std::size_t l = 0; l < layers(); ++l) {
            starts_.push_back(size_);
            size_ += (widths_[l] + 1) * widths_[l + 1];
        }
    }
    [[nodiscard]] std::int64_t size() const { return size_; }
    [[nodiscard]] std::size_t layers() const { return widths_.size() - 1; }

    /// W from N(0, 1 / inputs of its layer), b = 0.
    template <class T>
    void init(numerics::Stream& random, T* weights) const {
        for (std::size_t l = 0; l < layers(); ++l) {
            const double deviation = 1 / std::sqrt(double(widths_[l]));
            for (T& w : w_of(weights, l).reshaped()) w = T(deviation * random.normal());
            b_of(weights, l).setZero();
        }
    }

    /// The net at n inputs, kept for its derivatives. Allocates.
    template <class T>
    class Pass {
        using Matrix = RowMatrix<T>;

      public:
        /// @param weights  has to stay   @param inputs  [n, inputs]
        Pass(const TanhNet& net, const T* weights, Matrix inputs) : net_(net), weights_(weights) {
            a_.push_back(std::move(inputs));
            for (std::size_t l = 0; l < net.layers(); ++l) {
                Matrix z = a_.back() * net.w_of(weights, l);
                z.rowwise() += net.b_of(weights, l);
                if (l + 1 < net.layers()) z = z.array().tanh();
                a_.push_back(std::move(z));
            }
        }
        [[nodiscard]] const Matrix& output() const { return a_.back(); }

        /// The gradient of each output by its input, [n, inputs], of a net with one output.
        const Matrix& slope() {
            Matrix z_bar = Matrix::Ones(a_[0].rows(), 1);
            e_.resize(net_.layers());
            for (std::size_t l = net_.layers(); l-- > 0;) {
                e_[l].noalias() = z_bar * net_.w_of(weights_, l).transpose();
                if (l > 0) z_bar = e_[l].cwiseProduct(tanh_slope(l));
            }
            return e_[0];
        }
        /// After slope(): adds to `g`, like the weights, what they have of the cotangent of the slope, and
        /// keeps that of the hidden a_l for reverse().
        void reverse_slope(Matrix e_bar, T* g) {
            a_bar_.resize(net_.layers());
            for (std::size_t l = 0; l < net_.layers(); ++l) {
                const bool is_last = l + 1 == net_.layers();
                Matrix z_bar = is_last ? Matrix(Matrix::Ones(a_[0].rows(), 1))
                                       : Matrix(e_[l + 1].cwiseProduct(tanh_slope(l + 1)));
                net_.w_of(g, l).noalias() += e_bar.transpose() * z_bar;
                if (is_last) break;
                const Matrix z_bar_bar = e_bar * net_.w_of(weights_, l);
                a_bar_[l + 1] = T(-2) * z_bar_bar.cwiseProduct(e_[l + 1]).cwiseProduct(a_[l + 1]);
                e_bar = z_bar_bar.cwiseProduct(tanh_slope(l + 1));
            }
        }
        /// @param a_bar  cotangent of the output, [n, outputs]
        /// @param g      like the weights: what they have of it is added; NULL: not wanted
        /// @return that of the inputs
        Matrix reverse(Matrix a_bar, T* g) const {
            for (std::size_t l = net_.layers(); l-- > 0;) {
                if (l + 1 < net_.layers()) {
                    if (!a_bar_.empty()) a_bar += a_bar_[l + 1];
                    a_bar = a_bar.cwiseProduct(tanh_slope(l + 1)).eval();
                }
                if (g != nullptr) {
                    net_.w_of(g, l).noalias() += a_[l].transpose() * a_bar;
                    // In memory of its own: the order of Eigen's sums goes by where they are written.
                    const Matrix sums = a_bar.colwise().sum();
                    net_.b_of(g, l) += sums;
                }
                a_bar = (a_bar * net_.w_of(weights_, l).transpose()).eval();
            }
            return a_bar;
        }

      private:
        [[nodiscard]] Matrix tanh_slope(std::size_t l) const { return T(1) - a_[l].array().square(); }

        const TanhNet& net_;
        const T* weights_;
        std::vector<Matrix> a_, e_, a_bar_;  // by layer; e_[l]: gradient of the output by a_l
    };

  private:
    template <class T>
    [[nodiscard]] auto w_of(T* weights, std::size_t l) const {
        using Plain = RowMatrix<std::remove_const_t<T>>;
        return Eigen::Map<std::conditional_t<std::is_const_v<T>, const Plain, Plain>>(
            weights + starts_[l], widths_[l], widths_[l + 1]);
    }
    template <class T>
    [[nodiscard]] auto b_of(T* weights, std::size_t l) const {
        return row_vector(weights + starts_[l] + widths_[l] * widths_[l + 1], widths_[l + 1]);
    }

    std::vector<std::int64_t> widths_, starts_;
    std::int64_t size_ = 0;
};

}  // namespace l2o::plugins
