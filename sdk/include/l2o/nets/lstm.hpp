// An LSTM cell as part of a net: it declares its weights and its state. The kernel is numerics/lstm.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/lstm.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <span>
#include <string>
#include <vector>

namespace l2o::nets {

/// What its weights are called and how they lie: those of Sonnet, <name>/w_gates and <name>/b_gates, gates in
/// the order i, j, f, o, with a forget bias of 1 that is not stored; or those of torch, <name>.w_ih, .w_hh,
/// .b_ih, .b_hh, gates in the order i, f, g, o.
enum class LstmForm { kSonnet, kTorch };

/// Whose state an LSTM has: one for every coordinate of every block, or one for every row; of a population,
/// which is declared before, of every particle.
enum StatesOf { kPerCoordinate, kPerRow };

/// c' = s(f) c + s(i) tanh(j),  h' = s(o) tanh(c'),  [i j f o] = [input, h] w + b. Its output is h', or c'.
class Lstm {
  public:
    struct Names {
        std::string weights, h, c;
    };
    LstmForm form = LstmForm::kSonnet;
    /// The output is c', which forward() sets as the state, instead of h'.
    bool reads_cell = false;
    /// Of states per coordinate, by block: whether it runs there and has one; empty: at all.
    std::vector<bool> runs_at;
    /// What h and c are multiplied by before they are read.
    double memory = 1;

    void declare(OptimizerSpec& spec, const Names& names, Index inputs, Index hidden, StatesOf states) {
        const bool per_coordinate = states == kPerCoordinate;
        declare_weights(spec, names.weights, inputs, hidden);
        const std::size_t blocks = per_coordinate ? spec.blocks() : 1;
        const std::uint64_t flags = spec.info.particles > 0 ? L2O_SPEC_PER_PARTICLE : 0;
        const auto add = [&](const std::string& name, const char* doc, std::size_t k) {
            if (!per_coordinate)
                return spec.state(
                    {.name = name, .doc = doc, .shape = {hidden}, .batched = true, .flags = flags});
            return spec.state_of(k,
                                 {.name = name,
                                  .doc = doc,
                                  .axes = "coordinate,hidden",
                                  .shape = {element_count(spec.block(k)), hidden},
                                  .batched = true,
                                  .flags = flags});
        };
        for (std::size_t k = 0; k < blocks; ++k) {
            if (per_coordinate && !runs_at.empty() && !runs_at[k]) {
                states_.emplace_back();
                continue;
            }
            const State h = add(names.h, "LSTM: output", k);
            states_.push_back({h, add(names.c, "LSTM: cell", k)});
        }
    }

    /// Sonnet: weights *and gate biases* from a normal truncated at two standard deviations 1 / sqrt(fan-in);
    /// torch: U(-1, 1) / sqrt(hidden).   Source: the default initialisers of Sonnet v1, torch.nn.LSTMCell.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        for (const Param& param : params_)
            if (form == LstmForm::kSonnet)
                fill_truncated_normal(params, param, 1 / std::sqrt(double(inputs_ + hidden_)), call);
            else
                fill_uniform(params, param, 1 / std::sqrt(double(hidden_)), call);
    }

    [[nodiscard]] Index inputs() const { return inputs_; }
    [[nodiscard]] Index outputs() const { return hidden_; }
    [[nodiscard]] const State& h(std::size_t block = 0) const { return states_[block][0]; }
    [[nodiscard]] const State& c(std::size_t block = 0) const { return states_[block][1]; }

    /// The cell in one step, tile by tile.
    template <class T>
    class Pass {
      public:
        Pass(Scratch& scratch, const Lstm& of, const layers::Step<T>& step)
            : of_(of), step_(step), sums_(scratch, step.goes_back(), {of.weight_count(), 4 * of.hidden_}) {
            const Index n = of.hidden_;
            for (Block<T>* block : {&h_, &c_, &h_next_, &c_next_, &h_bar_, &c_bar_})
                *block = {scratch.take<T>(n * kTile), kTile};
            tape_ = {scratch.take<T>(numerics::kLstmTapeRows * n * kTile), kTile};
            workspace_ = scratch.take<T>(numerics::lstm_vjp_workspace<T>(n, kTile));
            cell_ = {of.inputs_, n, nullptr, nullptr};
            if (of.form == LstmForm::kTorch) {
                T *w = scratch.take<T>(of.weight_count()), *b = scratch.take<T>(4 * n);
                if (w != nullptr) pack(w, b);
                cell_.w = w, cell_.b = b;
            } else {
                cell_.w = step.values_of(of.params_[0]).data, cell_.b = step.values_of(of.params_[1]).data;
            }
        }
        [[nodiscard]] Block<T> output() const { return of_.reads_cell ? c_next_ : h_next_; }

        /// Of entries of block k; writes the new state in a forward pass.   @param taped  reverse() follows.
        /// The bits of an entry depend neither on how many there are nor on its position.
        void forward(std::size_t k, const Tile& tile, const Block<const T>& in, bool taped) const {
            load(step_.values_of(of_.h(k)), of_.hidden_, tile, h_);
            load(step_.values_of(of_.c(k)), of_.hidden_, tile, c_);
            fade(tile, h_), fade(tile, c_);
            if (tile.count % kLanes<T> != 0)  // what follows reads whole lanes
                std::fill_n(output().data, of_.hidden_ * kTile, T(0));
            numerics::lstm_forward(
                cell_, tile.count, {in, h_, c_}, {h_next_, c_next_}, taped ? tape_ : Block<T>{});
            if (const View<T> to = step_.written(of_.h(k))) store<false>(h_next_, of_.hidden_, tile, to);
            if (const View<T> to = step_.written(of_.c(k)); to && !of_.reads_cell)
                store<false>(c_next_, of_.hidden_, tile, to);
        }
        /// @param in_bar  [inputs, n], written; data NULL: not wanted.
        void reverse(std::size_t k,
                     const Tile& tile,
                     const Block<const T>& in,
                     const Block<T>& out_bar,
                     const Block<T>& in_bar) const {
            given(step_.cotangent_of(of_.h(k)), tile, h_bar_);
            given(of_.reads_cell ? View<const T>{} : step_.cotangent_of(of_.c(k)), tile, c_bar_);
            const Block<T>& bar = of_.reads_cell ? c_bar_ : h_bar_;
            for (Index i = 0; i < of_.hidden_; ++i)
                for (Index j = 0; j < tile.count; ++j) *bar.at(i, j) += *out_bar.at(i, j);
            if (in_bar.data != nullptr) std::fill_n(in_bar.data, of_.inputs_ * kTile, T(0));
            numerics::lstm_vjp(cell_,
                               tile.count,
                               {in, h_, c_},
                               tape_,
                               {h_bar_, c_bar_},
                               numerics::LstmGradient<T, double>{sums_[0], sums_[1], in_bar, h_bar_, c_bar_},
                               workspace_);
            fade(tile, h_bar_), fade(tile, c_bar_);
            if (const View<T> to = step_.accumulator_of(of_.h(k))) store<true>(h_bar_, of_.hidden_, tile, to);
            if (const View<T> to = step_.accumulator_of(of_.c(k))) store<true>(c_bar_, of_.hidden_, tile, to);
        }
        /// Those that a run at block k writes.   @throw Failure if there are none
        [[nodiscard]] std::span<const State> states(std::size_t k) const { return of_.states(k); }
        /// Adds the sums over all tiles to the accumulators of the weights.
        void finish() const {
            if (of_.form == LstmForm::kSonnet) {
                sums_.add_to(0, step_.accumulator_of(of_.params_[0]));
                sums_.add_to(1, step_.accumulator_of(of_.params_[1]));
                return;
            }
            const View<T> w_ih = step_.accumulator_of(of_.params_[0]),
                          w_hh = step_.accumulator_of(of_.params_[1]);
            const View<T> b_ih = step_.accumulator_of(of_.params_[2]),
                          b_hh = step_.accumulator_of(of_.params_[3]);
            const Index n = of_.hidden_;
            for_each_gate(n, [&](Index r, Index column) {
                const double* w = sums_[0] + column;
                for (Index i = 0; w_ih && i < of_.inputs_; ++i) w_ih(r, i) += T(w[i * 4 * n]);
                for (Index i = 0; w_hh && i < n; ++i) w_hh(r, i) += T(w[(of_.inputs_ + i) * 4 * n]);
                if (b_ih) b_ih[r] += T(sums_[1][column]);
                if (b_hh) b_hh[r] += T(sums_[1][column]);
            });
        }

      private:
        void given(const View<const T>& from, const Tile& tile, const Block<T>& to) const {
            if (from)
                load(from, of_.hidden_, tile, to);
            else
                std::fill_n(to.data, of_.hidden_ * kTile, T(0));
        }
        void fade(const Tile& tile, const Block<T>& of) const {
            for (Index i = 0; i < of_.hidden_ && of_.memory != 1; ++i)
                for (Index j = 0; j < tile.count; ++j) *of.at(i, j) *= T(of_.memory);
        }
        /// From torch's form to that of the kernel, which adds 1 to the bias of f.
        void pack(T* w, T* b) const {
            const auto w_ih = step_.values_of(of_.params_[0]), w_hh = step_.values_of(of_.params_[1]);
            const auto b_ih = step_.values_of(of_.params_[2]), b_hh = step_.values_of(of_.params_[3]);
            const Index n = of_.hidden_;
            for (Index gate = 0; gate < 4; ++gate) {
                const Index from = kGate[gate] * n, to = gate * n;
                numerics::transpose(w_ih.row(from), n, of_.inputs_, w_ih.stride, w + to, 4 * n);
                numerics::transpose(w_hh.row(from), n, n, w_hh.stride, w + of_.inputs_ * 4 * n + to, 4 * n);
            }
            for_each_gate(n, [&](Index r, Index column) {
                b[column] = b_ih[r] + b_hh[r] - T(column / n == 2 ? 1 : 0);
            });
        }

        const Lstm& of_;
        const layers::Step<T>& step_;
        numerics::LstmCell<T> cell_;
        Block<T> h_, c_, h_next_, c_next_, h_bar_, c_bar_, tape_;
        T* workspace_;
        GradientSums<2> sums_;
    };

  private:
    /// Of the kernel's gates i, j, f, o their place in torch's order.
    static constexpr Index kGate[] = {0, 2, 1, 3};

    /// Calls f(row in torch's weights, column in the kernel's).
    template <class F>
    static void for_each_gate(Index hidden, F&& f) {
        for (Index gate = 0; gate < 4; ++gate)
            for (Index i = 0; i < hidden; ++i) f(kGate[gate] * hidden + i, gate * hidden + i);
    }
    void declare_weights(OptimizerSpec& spec, const std::string& name, Index inputs, Index hidden) {
        inputs_ = inputs, hidden_ = hidden;
        const bool sonnet = form == LstmForm::kSonnet;
        const auto add = [&](const char* ending, const Shape& shape) {
            params_.push_back(
                spec.param({.name = name + ending,
                            .doc = sonnet ? "gates in the order i, j, f, o; the forget bias 1 is not stored"
                                          : "gates in the order i, f, g, o",
                            .shape = shape}));
        };
        const Index gates = 4 * hidden;
        if (sonnet) {
            add("/w_gates", {inputs + hidden, gates});
            add("/b_gates", {gates});
            return;
        }
        add(".w_ih", {gates, inputs});
        add(".w_hh", {gates, hidden});
        add(".b_ih", {gates});
        add(".b_hh", {gates});
    }
    [[nodiscard]] std::span<const State> states(std::size_t k) const {
        if (k >= states_.size())
            invalid("an LSTM of " + std::to_string(states_.size()) + " states is run at block " +
                    std::to_string(k) + "; expected a block that it has a state of");
        return {states_[k].data(), reads_cell ? 1U : 2U};
    }
    [[nodiscard]] Index weight_count() const { return (inputs_ + hidden_) * 4 * hidden_; }

    Index inputs_ = 0, hidden_ = 0;
    std::vector<Param> params_;
    std::vector<std::array<State, 2>> states_;  // h and c, of every block or of the rows
};

}  // namespace l2o::nets
