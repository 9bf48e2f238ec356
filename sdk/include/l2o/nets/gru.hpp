// A GRU cell as an operation: it declares its weights. The kernel is numerics/gru.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/product.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/gru.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>

namespace l2o::nets {

using layers::Value;

/// [r u] = s([x, h] w_gates + b_ru + m_ru),  c = tanh([x, r h] w_candidate + b_c + m_c),  h' = u h + (1 - u)
/// c: at n coordinates, or of a tensor, n = 1. m is a message from a level above, the same for all
/// coordinates of a row. The planes of x and h (layers/planes.hpp) are inputs and units.
class Gru {
  public:
    /// Parameters <name>/gates/Matrix [inputs + hidden, 2 hidden], <name>/gates/Bias, <name>/candidate/Matrix
    /// [inputs + hidden, hidden], <name>/candidate/Bias.
    void declare(OptimizerSpec& spec, const std::string& name, Index inputs, Index hidden) {
        inputs_ = inputs, hidden_ = hidden;
        const Index rows = inputs + hidden;
        w_gates_ = spec.param({.name = name + "/gates/Matrix", .shape = {rows, 2 * hidden}});
        b_gates_ = spec.param({.name = name + "/gates/Bias", .shape = {2 * hidden}});
        w_candidate_ = spec.param({.name = name + "/candidate/Matrix", .shape = {rows, hidden}});
        b_candidate_ = spec.param({.name = name + "/candidate/Bias", .shape = {hidden}});
    }
    /// Weights from N(0, 1/4 / fan-in), the biases of the gates 2.2, the others 0.
    /// Source: Wichrowska et al. 2017 (arXiv:1703.04813), their code.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        const double sigma = 0.5 / std::sqrt(double(inputs_ + hidden_));
        fill_normal(params, w_gates_, sigma, call), fill_normal(params, w_candidate_, sigma, call);
        fill_normal(params, b_gates_, 0, call, 2.2), fill_normal(params, b_candidate_, 0, call);
    }
    [[nodiscard]] Index hidden() const { return hidden_; }

    /// h'.   @param x  [B, inputs n]   @param h  [B, hidden n]   @param message  [B, 3 hidden], or none
    template <class T>
    Value<T> operator()(layers::Step<T>& step, Value<T> x, Value<T> h, Value<T> message, Index n) const {
        if (x->cols() != inputs_ * n || h->cols() != hidden_ * n)
            invalid("a GRU of " + std::to_string(inputs_) + " inputs and " + std::to_string(hidden_) +
                    " units reads rows of " + std::to_string(x->cols()) + " and " +
                    std::to_string(h->cols()) + " entries at " + std::to_string(n) +
                    " coordinates; expected as many of each");
        return Value<T>(step.tape().template add<Cell<T>>(*this, step, x, h, message, n));
    }

  private:
    template <class T>
    class Cell final : public layers::Node<T> {
      public:
        Cell(layers::Tape<T>& tape,
             const Gru& of,
             layers::Step<T>& step,
             Value<T> x,
             Value<T> h,
             Value<T> message,
             Index n)
            : layers::Node<T>(tape, true, of.hidden_ * n, true, false),
              inputs_(of.inputs_),
              hidden_(of.hidden_),
              n_(n),
              x_(x),
              h_(h),
              message_(message),
              b_gates_(step.param(of.b_gates_)),
              b_candidate_(step.param(of.b_candidate_)),
              w_gates_(step.matrix(of.w_gates_)),
              w_candidate_(step.matrix(of.w_candidate_)),
              sums_(tape.scratch(), {weight_rows() * 2 * hidden_, weight_rows() * hidden_, 3 * hidden_}) {
            x->use(), h->use();
            if (message) message->use();
            const Index tile = std::min(kTile, n);
            Scratch& scratch = tape.scratch();
            bias_ = scratch.take<T>(3 * hidden_);
            h_next_ = {scratch.take<T>(hidden_ * tile), tile},
            h_bar_ = {scratch.take<T>(hidden_ * tile), tile};
            tape_ = {scratch.take<T>(numerics::kGruTapeRows * hidden_ * tile), tile};
            workspace_ = scratch.take<T>(numerics::gru_vjp_workspace<T>(hidden_, tile));
        }

      private:
        [[nodiscard]] Index weight_rows() const { return inputs_ + hidden_; }
        /// Of row r, with its bias.
        numerics::GruCell<T> cell(std::int64_t r) {
            std::copy_n(b_gates_->value().data, 2 * hidden_, bias_);
            std::copy_n(b_candidate_->value().data, hidden_, bias_ + 2 * hidden_);
            if (message_)
                for (Index i = 0; i < 3 * hidden_; ++i) bias_[i] += message_->value()(r, i);
            return {inputs_, hidden_, w_gates_.value.data, w_candidate_.value.data, bias_};
        }
        void run(const numerics::GruCell<T>& cell,
                 const Tile& tile,
                 const Block<const T>& x,
                 const Block<const T>& h,
                 const Block<T>& to) {
            if (n_ == 1)
                numerics::gru_forward_single(cell, x.data, h.data, to.data, tape_.data);
            else
                numerics::gru_forward(cell, tile.count, x, h, to, tape_);
        }
        Block<const T> at(const View<const T>& of, std::int64_t r, const Tile& tile) const {
            return {of.row(r) + tile.first, n_};
        }
        void compute(const View<T>& to, T, bool) override {
            const View<const T> x = x_->value(), h = h_->value();
            for (std::int64_t r = 0; r < to.rows; ++r) {
                const auto cell_of_row = cell(r);
                for_each_tile(n_, [&](const Tile& tile) {
                    run(cell_of_row, tile, at(x, r, tile), at(h, r, tile), {to.row(r) + tile.first, n_});
                });
            }
        }
        void back(const View<const T>& bar) override {
            const View<const T> x = x_->value(), h = h_->value();
            const View<T> x_bar = x_->is_wanted() ? x_->own_bar() : View<T>{};
            const View<T> h_bar = h_->is_wanted() ? h_->own_bar() : View<T>{};
            double* bias_bar = sums_[2];
            for (std::int64_t r = 0; r < bar.rows; ++r) {
                const auto cell_of_row = cell(r);
                std::fill_n(bias_bar, 3 * hidden_, 0.0);
                for_each_tile(n_, [&](const Tile& tile) {
                    const Block<const T> x_at = at(x, r, tile), h_at = at(h, r, tile);
                    run(cell_of_row, tile, x_at, h_at, h_next_);
                    numerics::gru_vjp(cell_of_row,
                                      tile.count,
                                      x_at,
                                      h_at,
                                      tape_,
                                      at(bar, r, tile),
                                      numerics::GruGradient<T, double>{
                                          sums_[0],
                                          sums_[1],
                                          bias_bar,
                                          x_bar ? Block<T>{x_bar.row(r) + tile.first, n_} : Block<T>{},
                                          h_bar_},
                                      workspace_);
                    for (Index i = 0; h_bar && i < hidden_; ++i)
                        for (Index j = 0; j < tile.count; ++j)
                            h_bar(r, i * n_ + tile.first + j) += *h_bar_.at(i, j);
                });
                add_bias(message_, r, 0, 3 * hidden_);
                add_bias(b_gates_, 0, 0, 2 * hidden_);
                add_bias(b_candidate_, 0, 2 * hidden_, hidden_);
            }
            sums_.add_to(0, w_gates_.bar);
            sums_.add_to(1, w_candidate_.bar);
        }
        void add_bias(Value<T> to, std::int64_t r, Index first, Index count) {
            if (!to || !to->is_wanted()) return;
            T* bar = to->own_bar().row(r);
            for (Index i = 0; i < count; ++i) bar[i] += T(sums_[2][first + i]);
        }

        Index inputs_, hidden_, n_;
        Value<T> x_, h_, message_, b_gates_, b_candidate_;
        layers::Matrix<T> w_gates_, w_candidate_;
        GradientSums<3> sums_;
        T* bias_;
        Block<T> h_next_, h_bar_, tape_;
        T* workspace_;
    };

    Index inputs_ = 0, hidden_ = 0;
    Param w_gates_, b_gates_, w_candidate_, b_candidate_;
};

}  // namespace l2o::nets
