// What the learned optimizers of Metz et al. share: features of every coordinate, each divided by its root
// mean square over the tensor, and features of time go through a small network with two outputs o0, o1;
//   x' = x - step_mult o0 exp(exp_mult o1).
// Source: MLPLOpt and AdafacMLPLOpt of learned_optimization (Metz et al. 2022, arXiv:2203.11860), after Metz
// et al. 2019 (arXiv:1810.10180) and 2020 (arXiv:2009.11243).
#pragma once

#include <l2o/numerics/sum.hpp>

#include "relu_net.hpp"

namespace l2o::recurrent {

/// Whole rows of a block: a row is a tensor, whose coordinates are normalised together. `at` spans them.
struct Chunk {
    std::size_t block;
    Index row, rows, cols;
    Tile at;
};

/// Rows of the features that every method has.
enum FeatureRow : Index { kGradient = 0, kPoint = 1 };

/// Base of a method, which has
///   static constexpr Index kFeatures;               rows 0 and 1 are g and x
///   static constexpr const char* kFeatureNames;     for the doc
///   template <class T> struct Front {
///       Front(Scratch&, const Method&, const StepIn<T>*);       NULL: the scratch measures
///       /// Fills the rows of raw from 2 on, and the new state unless out is NULL.
///       void forward(const StepIn<T>&, const StepOut<T>* out, const Chunk&, const Block<T>& raw);
///       /// After forward() of the same chunk. Adds to the cotangents of the state, and to row 0 of raw_bar
///       /// what g gets of the other rows, which it may overwrite.
///       void reverse(const StepIn<T>&, const StepCot<T>&, const StepAcc<T>&, const Chunk&,
///                    const Block<T>& raw, const Block<T>& raw_bar);
///       void finish(const StepAcc<T>&);                          sums over all chunks
///   };
///   template <class T> void init_own_params(const ParamsOut<T>&) const;    if it declares any
/// and whose declare() ends with declare_net(). A row of raw is padded to whole lanes, with any numbers.
template <class Method>
class FeatureNet {
  public:
    static constexpr std::size_t kLayers = 3;
    using Net = ReluNet<kLayers>;
    static constexpr std::array<double, 11> kTimeScales{1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5};

    static Options<Method> options() {
        Options<Method> o;
        o.integer("hidden", &Method::hidden_, "size of each of the two hidden layers", between(1, 1024));
        o.real("step_mult", &Method::step_mult_, "factor of the step", kPositive);
        o.real("exp_mult", &Method::exp_mult_, "factor of the logarithm of its size", kPositive);
        o.real("time_scale",
               &Method::time_scale_,
               "factor of the time constants 1, 3, 10 ... 100,000 of the features of time",
               kPositive);
        return o;
    }

    template <class T>
    void init_params(const l2o_call& call, const NeedsIn<T>&, const ParamsOut<T>& params) const {
        self().init_own_params(params);
        net_.init_params(call, params);
    }

    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        Scratch scratch(in.call);
        Work<T> work(scratch, self(), &in);
        for_each_chunk(in, [&](const Chunk& chunk) {
            features(in, &out, chunk, work);
            for_each_tile(chunk.at.count, [&](const Tile& tile) {
                work.net.forward(tile.count, work.normal(tile), work.tape);
                const Block<T>& o = work.tape.output();
                for (Index at = 0; at < tile.count; at += kLanes<T>) {
                    const Lanes<T> size = (T(exp_mult_) * load(o.at(1, at))).exp();
                    const Lanes<T> step = T(step_mult_) * load(o.at(0, at)) * size;
                    T* x = work.raw.at(kPoint, tile.first + at);
                    store_lanes<T>(load(x) - step, x, kLanes<T>);
                }
            });
            scatter(work.raw.at(kPoint, 0), chunk.at, out.x(chunk.block));
        });
    }

    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        Scratch scratch(in.call);
        Work<T> work(scratch, self(), &in);
        const Back<T> back(scratch, self());
        for_each_chunk(in, [&](const Chunk& chunk) {
            const Index n = chunk.at.count;
            features<T>(in, nullptr, chunk, work);
            std::fill_n(back.x_bar, numerics::round_up_to_lanes<T>(n), T(0));
            if (const View<const T> bar = cot.x(chunk.block)) gather(bar, chunk.at, back.x_bar);
            for_each_tile(n, [&](const Tile& tile) {
                const Block<const T> normal = work.normal(tile);
                work.net.forward(tile.count, normal, work.tape);
                const Block<T>& o = work.tape.output();
                for (Index at = 0; at < tile.count; at += kLanes<T>) {
                    const Lanes<T> bar = load(back.x_bar + tile.first + at);
                    const Lanes<T> size = (T(exp_mult_) * load(o.at(1, at))).exp();
                    const Lanes<T> along = -T(step_mult_) * bar * size;
                    store_lanes<T>(along, back.o_bar.at(0, at), kLanes<T>);
                    store_lanes<T>(T(exp_mult_) * along * load(o.at(0, at)), back.o_bar.at(1, at), kLanes<T>);
                }
                work.net.reverse(tile.count,
                                 normal,
                                 work.tape,
                                 back.o_bar,
                                 back.workspace,
                                 back.gradient,
                                 {back.bar.at(0, tile.first), back.bar.stride});
            });
            normalise_vjp(chunk, work, back.bar);
            work.front.reverse(in, cot, acc, chunk, work.raw, back.bar);
            if (const View<T> to = acc.g(chunk.block)) scatter_add(back.bar.at(kGradient, 0), chunk.at, to);
            if (const View<T> to = acc.x(chunk.block)) {
                scatter_add(back.x_bar, chunk.at, to);
                scatter_add(back.bar.at(kPoint, 0), chunk.at, to);
            }
        });
        work.net.finish(back.gradient, acc);
        work.front.finish(acc);
    }

  protected:
    template <class T>
    void init_own_params(const ParamsOut<T>&) const {}

    void declare_net(OptimizerSpec& spec) {
        const auto times = static_cast<Index>(kTimeScales.size());
        net_.declare(spec,
                     "mlp",
                     {Method::kFeatures + times, hidden_, hidden_, 2},
                     times,
                     std::string("rows: ") + Method::kFeatureNames +
                         ", then tanh(t / tau - 1), tau = 1, 3, 10 ... 1e5");
        spec.minimises().reads_g();
        for (std::size_t k = 0; k < spec.blocks(); ++k) {
            const Index n = element_count(spec.block(k));
            capacity_ = std::max(capacity_, rows_at_a_time(n) * n);
        }
        capacity_ = (capacity_ + kTile - 1) / kTile * kTile;
        spec.scratch([this](Scratch& scratch, Index, auto scalar) {
            using T = decltype(scalar);
            Work<T>(scratch, self(), nullptr), Back<T>(scratch, self());
        });
    }

    std::int64_t hidden_ = 0;
    double step_mult_ = 1e-3, exp_mult_ = 1e-3, time_scale_ = 1;

  protected:
    /// Coordinates that Front works on at once.
    [[nodiscard]] Index capacity() const { return capacity_; }

  private:
    /// Coordinates per chunk where tensors are small. Chosen: padding to whole lanes costs a few percent.
    static constexpr Index kChunk = 512;

    template <class T>
    struct Work {
        typename Method::template Front<T> front;
        Block<T> raw,
            unit;    // [kFeatures, capacity]: features before and after they are divided by their size
        T* inverse;  // [rows, kFeatures]: 1 / size
        T* times;
        typename Net::template Tape<T> tape;
        typename Net::template Bound<T> net;

        Work(Scratch& scratch, const Method& method, const StepIn<T>* in)
            : front(scratch, method, in),
              raw{scratch.take<T>(Method::kFeatures * method.capacity()), method.capacity()},
              unit{scratch.take<T>(Method::kFeatures * method.capacity()), method.capacity()},
              inverse(scratch.take<T>(Method::kFeatures * kChunk)),
              times(time_features(scratch, method, in)),
              tape(scratch, method.net_),
              net(scratch, method.net_, in, times) {}

        [[nodiscard]] Block<const T> normal(const Tile& tile) const {
            return {unit.at(0, tile.first), unit.stride};
        }
    };
    template <class T>
    struct Back {
        typename Net::template Workspace<T> workspace;
        typename Net::Gradient gradient;
        Block<T> o_bar, bar;  // [2, tile], [kFeatures, capacity]
        T* x_bar;

        Back(Scratch& scratch, const Method& method)
            : workspace(scratch, method.net_),
              gradient(method.net_.gradient(scratch)),
              o_bar{scratch.take<T>(2 * kTile), kTile},
              bar{scratch.take<T>(Method::kFeatures * method.capacity()), method.capacity()},
              x_bar(scratch.take<T>(method.capacity())) {}
    };

    [[nodiscard]] const Method& self() const { return static_cast<const Method&>(*this); }
    static Index rows_at_a_time(Index n) { return std::max<Index>(1, kChunk / n); }
    template <class T>
    static Lanes<T> load(const T* from) {
        return load_lanes(from, kLanes<T>);
    }

    template <class T>
    static T* time_features(Scratch& scratch, const Method& method, const StepIn<T>* in) {
        T* times = scratch.take<T>(static_cast<Index>(kTimeScales.size()));
        for (std::size_t i = 0; in != nullptr && i < kTimeScales.size(); ++i)
            times[i] = T(std::tanh(double(in->t()) / (method.time_scale_ * kTimeScales[i]) - 1));
        return times;
    }

    template <class T, class F>
    static void for_each_chunk(const StepIn<T>& in, F&& f) {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const Index batch = in.batch(), n = in.x(k).cols;
            for (Index row = 0; row < batch; row += rows_at_a_time(n)) {
                const Index rows = std::min(rows_at_a_time(n), batch - row);
                f(Chunk{k, row, rows, n, {row * n, rows * n}});
            }
        }
    }

    /// Features of a chunk, and the same divided by sqrt(1e-5 + their mean square over the tensor).
    template <class T>
    void features(const StepIn<T>& in, const StepOut<T>* out, const Chunk& chunk, Work<T>& work) const {
        const Index padded = numerics::round_up_to_lanes<T>(chunk.at.count);
        for (Index f = 0; f < 2; ++f) std::fill(work.raw.at(f, chunk.at.count), work.raw.at(f, padded), T(0));
        gather(in.g(chunk.block), chunk.at, work.raw.at(kGradient, 0));
        gather(in.x(chunk.block), chunk.at, work.raw.at(kPoint, 0));
        work.front.forward(in, out, chunk, work.raw);
        for (Index f = 0; f < Method::kFeatures; ++f) {
            for (Index r = 0; r < chunk.rows; ++r) {
                const T* x = work.raw.at(f, r * chunk.cols);
                T* y = work.unit.at(f, r * chunk.cols);
                const double squares = numerics::sum_over(
                    std::size_t(chunk.cols), [x](std::size_t i) { return double(x[i]) * double(x[i]); });
                const T inverse = T(1 / std::sqrt(1e-5 + squares / double(chunk.cols)));
                work.inverse[r * Method::kFeatures + f] = inverse;
                for (Index i = 0; i < chunk.cols; ++i) y[i] = x[i] * inverse;
            }
            std::fill(work.unit.at(f, chunk.at.count), work.unit.at(f, padded), T(0));
        }
    }

    /// y = r x, r = (eps + mean x^2)^(-1/2):  x_bar = r (y_bar - y mean(y_bar y)).
    template <class T>
    static void normalise_vjp(const Chunk& chunk, const Work<T>& work, const Block<T>& bar) {
        for (Index f = 0; f < Method::kFeatures; ++f)
            for (Index r = 0; r < chunk.rows; ++r) {
                const T* y = work.unit.at(f, r * chunk.cols);
                T* y_bar = bar.at(f, r * chunk.cols);
                const double product = numerics::sum_over(
                    std::size_t(chunk.cols), [&](std::size_t i) { return double(y[i]) * double(y_bar[i]); });
                const T mean = T(product / double(chunk.cols));
                const T inverse = work.inverse[r * Method::kFeatures + f];
                for (Index i = 0; i < chunk.cols; ++i) y_bar[i] = inverse * (y_bar[i] - y[i] * mean);
            }
    }

    Net net_;
    Index capacity_ = 0;
};

}  // namespace l2o::recurrent
