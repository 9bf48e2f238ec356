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
              sums_(tape.scratch(),
                    step.goes_back(),
                    {weight_rows() * 2 * hidden_, weight_rows() * hidden_, 3 * hidden_}) {
            x->use(), h->use();
            if (message) message->use();
            const auto take = [&](Index rows) {
                return Block<T>{tape.scratch().template take<T>(rows * kTile), kTile};
            };
            bias_ = tape.scratch().template take<T>(3 * hidden_);
            x_at_ = take(inputs_), h_at_ = take(hidden_), message_at_ = take(3 * hidden_);
            h_next_ = take(hidden_), tape_ = take(numerics::kGruTapeRows * hidden_);
            if (tape.pass() == layers::Pass::kForward) return;
            x_bar_ = take(inputs_), h_bar_ = take(hidden_), bar_at_ = take(hidden_), z_ = take(3 * hidden_);
            row_bar_ = tape.scratch().template take<double>(3 * hidden_);
            workspace_ = tape.scratch().template take<T>(numerics::gru_vjp_workspace<T>(hidden_, kTile));
        }

      private:
        struct Of {
            Block<const T> x, h, message;
        };
        [[nodiscard]] Index weight_rows() const { return inputs_ + hidden_; }
        numerics::GruCell<T> cell() const {
            return {inputs_, hidden_, w_gates_.value.data, w_candidate_.value.data, bias_};
        }
        /// What the cell reads, and its bias; in one row the message is part of that.
        Of at(const Tile& tile) const {
            std::copy_n(b_gates_->value().data, 2 * hidden_, bias_);
            std::copy_n(b_candidate_->value().data, hidden_, bias_ + 2 * hidden_);
            const Index row = tile.first / n_, last = (tile.first + tile.count - 1) / n_;
            for (Index i = 0; message_ && row == last && i < 3 * hidden_; ++i)
                bias_[i] += message_->value()(row, i);
            return {load_planes(x_->value(), inputs_, n_, tile, x_at_),
                    load_planes(h_->value(), hidden_, n_, tile, h_at_),
                    message_ && row < last ? message_at(tile) : Block<const T>{}};
        }
        Block<const T> message_at(const Tile& tile) const {
            const View<const T> message = message_->value();
            if (n_ == 1) return load_planes(message, 3 * hidden_, 1, tile, message_at_);
            tile.each_row(n_, [&](Index row, Index, Index count, Index at) {
                for (Index i = 0; i < 3 * hidden_; ++i)
                    std::fill_n(message_at_.at(i, at), count, message(row, i));
            });
            return message_at_;
        }
        void compute(const View<T>& to, T, bool) override {
            const auto weights = cell();
            for_each_tile(to.rows * n_, [&](const Tile& tile) {
                const Of in = at(tile);
                const Block<T> there = planes_of(to, n_, tile);
                numerics::gru_forward(weights,
                                      tile.count,
                                      in.x,
                                      in.h,
                                      there.data != nullptr ? there : h_next_,
                                      tape_,
                                      in.message);
                if (there.data == nullptr) store_planes<false>(h_next_, hidden_, n_, tile, to);
            });
        }
        void back(const View<const T>& bar) override {
            const auto weights = cell();
            const View<T> x_bar = x_->is_wanted() ? x_->own_bar() : View<T>{};
            const View<T> h_bar = h_->is_wanted() ? h_->own_bar() : View<T>{};
            for_each_tile(bar.rows * n_, [&](const Tile& tile) {
                const Of in = at(tile);
                numerics::gru_forward(weights, tile.count, in.x, in.h, h_next_, tape_, in.message);
                if (x_bar) std::fill_n(x_bar_.data, inputs_ * kTile, T(0));
                numerics::gru_vjp(weights,
                                  tile.count,
                                  in.x,
                                  in.h,
                                  tape_,
                                  load_planes(bar, hidden_, n_, tile, bar_at_),
                                  numerics::GruGradient<T, double>{
                                      sums_[0], sums_[1], sums_[2], x_bar ? x_bar_ : Block<T>{}, h_bar_, z_},
                                  workspace_);
                if (x_bar) store_planes<true>(x_bar_, inputs_, n_, tile, x_bar);
                if (h_bar) store_planes<true>(h_bar_, hidden_, n_, tile, h_bar);
                if (message_ && message_->is_wanted()) message_back(tile, message_->own_bar());
            });
            sums_.add_to(0, w_gates_.bar);
            sums_.add_to(1, w_candidate_.bar);
            add_bias(b_gates_, 0, 2 * hidden_);
            add_bias(b_candidate_, 2 * hidden_, hidden_);
        }
        /// The sums over the rows, which may go on from tile to tile.
        void message_back(const Tile& tile, const View<T>& message_bar) const {
            tile.each_row(n_, [&](Index row, Index column, Index count, Index at) {
                for (Index i = 0; i < 3 * hidden_; ++i) {
                    double sum = column == 0 ? 0 : row_bar_[i];
                    for (Index j = 0; j < count; ++j) sum += double(*z_.at(i, at + j));
                    row_bar_[i] = sum;
                    if (column + count == n_) message_bar(row, i) += T(sum);
                }
            });
        }
        void add_bias(Value<T> to, Index first, Index count) const {
            if (!to->is_wanted()) return;
            T* bar = to->own_bar().data;
            for (Index i = 0; i < count; ++i) bar[i] = T(bar[i] + sums_[2][first + i]);
        }

        Index inputs_, hidden_, n_;
        Value<T> x_, h_, message_, b_gates_, b_candidate_;
        layers::Matrix<T> w_gates_, w_candidate_;
        GradientSums<3> sums_;
        T *bias_, *workspace_ = nullptr;
        double* row_bar_ = nullptr;
        Block<T> x_at_, h_at_, message_at_, h_next_, tape_, x_bar_, h_bar_, bar_at_, z_;
    };

    Index inputs_ = 0, hidden_ = 0;
    Param w_gates_, b_gates_, w_candidate_, b_candidate_;
};

}  // namespace l2o::nets
