// The learned optimizer small_fc_lopt, or AdafacMLPLOpt, of learned_optimization (Metz et al. 2022,
// "Practical tradeoffs between memory, compute, and performance in learned optimizers", arXiv:2203.11860): a
// tiny MLP reads means of a coordinate's gradient and its square, factored squares of its tensor, and the
// time. Symbols: m mean of g, s of g^2, a and b of g^2 as in factored_squares.hpp; P, Q what g and m are
// multiplied by there. Deviation from their equation, not from their code: the decays of squares are at least
// 0.
#include <limits>
#include <vector>

#include "factored_squares.hpp"
#include "feature_net.hpp"

namespace {

using l2o::View;
using l2o::recurrent::Block;
using l2o::recurrent::Chunk;
using l2o::recurrent::Index;
using l2o::recurrent::kGradient;
using l2o::recurrent::kLanes;
using l2o::recurrent::Lanes;
using l2o::recurrent::load_lanes;
using l2o::recurrent::store_lanes;
using l2o::recurrent::Tile;

constexpr Index kDecays = 3;
constexpr double kStartDecays[kDecays] = {0.9, 0.99, 0.999}, kSquareStart[1] = {0.999};

/// Rows of the features; those of the decays follow one another.
enum Row : Index {
    kMean = 2,
    kSquare = 5,
    kScaled = 6,     // m r,  r = 1 / sqrt(s + 1e-6)
    kRoot = 9,       // r
    kFactored = 10,  // g P
    kA = 13,
    kB = 16,
    kRootA = 19,  // 1 / sqrt(a + 1e-8)
    kRootB = 22,
    kFactoredMean = 25,  // m Q
    kRows = 28
};

/// d = 1 - (1 - d_0) exp(10 p), and its slope.
template <class T, std::size_t kCount>
struct LearnedDecays {
    T d[kCount];
    double slope[kCount];

    void bind(const double (&start)[kCount], const T* p, double least) {
        for (std::size_t i = 0; i < kCount; ++i) {
            const double rest = (1 - start[i]) * std::exp(10 * double(p[i]));
            d[i] = T(std::max(1 - rest, least));
            slope[i] = 1 - rest > least ? -10 * rest : 0;
        }
    }
};

class AdafacMlp : public l2o::recurrent::FeatureNet<AdafacMlp> {
  public:
    static constexpr l2o::About about{
        .id = "adafac_mlp",
        .version = "1.0.0",
        .title = "AdafacMLP: a tiny MLP on momenta and factored squares, 197 weights",
        .doc =
            "Metz et al. 2022 (arXiv:2203.11860), small_fc_lopt. Like mlp_lopt with other features: three "
            "means "
            "of g, one of g^2, three factored ones of g^2 (of a matrix: by row and by column), their "
            "quotients "
            "and inverse roots, each divided by its root mean square over the tensor. The seven decays are "
            "learned. A tensor of less than two dimensions has no factors: its mean of g^2 stands for both"};

    AdafacMlp() { hidden_ = 4; }
    static l2o::Options<AdafacMlp> options() { return FeatureNet::options(); }

    void declare(l2o::OptimizerSpec& spec) {
        const char* doc = "p of the decay d = 1 - (1 - d_0) exp(10 p)";
        decays_ = {spec.param({.name = "decay/mean", .doc = doc, .shape = {kDecays}}),
                   spec.param({.name = "decay/mean_square", .doc = doc, .shape = {1}}),
                   spec.param({.name = "decay/factored", .doc = doc, .shape = {kDecays}})};
        for (std::size_t k = 0; k < spec.blocks(); ++k) declare_block(spec, spec.block(k));
        declare_net(spec);
    }

    static constexpr Index kFeatures = kRows;
    static constexpr const char* kFeatureNames =
        "g, x, m (3), s, m / sqrt(s) (3), 1 / sqrt(s), g P (3), a (3), b (3), 1 / sqrt(a) (3), 1 / sqrt(b) "
        "(3), m Q (3)";

    template <class T>
    struct Front {
        const AdafacMlp& method;
        LearnedDecays<T, kDecays> mean_decay{}, decay{};
        LearnedDecays<T, 1> square_decay{};
        Block<T> p, q;     // [3, capacity]
        T *squares, *bar;  // [capacity]
        // Of one tensor and decay: what is in the state, its input, its factors, and their cotangents.
        T *a, *b, *mean_a, *mean_b, *factor_a, *factor_b, *a_bar, *b_bar, *factor_a_bar, *factor_b_bar, *work;
        l2o::recurrent::GradientSums<3> sums;

        Front(l2o::Scratch& scratch, const AdafacMlp& of, const l2o::StepIn<T>* in)
            : method(of), sums(scratch, {kDecays, 1, kDecays}) {
            const Index n = of.capacity();
            for (Block<T>* one : {&p, &q}) *one = {scratch.take<T>(kDecays * n), n};
            for (T** one : {&squares, &bar, &a, &b, &mean_a, &mean_b, &factor_a, &factor_b})
                *one = scratch.take<T>(n);
            for (T** one : {&a_bar, &b_bar, &factor_a_bar, &factor_b_bar}) *one = scratch.take<T>(n);
            work = scratch.take<T>(2 * n);
            if (in == nullptr) return;
            mean_decay.bind(
                kStartDecays, in->param(of.decays_[0]).data, -std::numeric_limits<double>::infinity());
            square_decay.bind(kSquareStart, in->param(of.decays_[1]).data, 0);
            decay.bind(kStartDecays, in->param(of.decays_[2]).data, 0);
        }

        void forward(const l2o::StepIn<T>& in,
                     const l2o::StepOut<T>* out,
                     const Chunk& chunk,
                     const Block<T>& raw) const {
            const States& state = method.states_[chunk.block];
            const Index n = chunk.at.count;
            for (Index at = 0; at < n; at += kLanes<T>) {
                const Lanes<T> g = load(raw.at(kGradient, at));
                store_lanes<T>(g * g, squares + at, kLanes<T>);
            }
            const auto follow = [&](const l2o::State& of, T d, const T* input, T* to) {
                gather(in.state(of), chunk.at, to);
                const T keep = kept(in, d);
                for (Index at = 0; at < n; at += kLanes<T>)
                    store_lanes<T>(keep * load(to + at) + (1 - d) * load(input + at), to + at, kLanes<T>);
                if (out != nullptr) scatter(to, chunk.at, out->state(of));
            };
            for (Index i = 0; i < kDecays; ++i)
                follow(state.mean[i], mean_decay.d[i], raw.at(kGradient, 0), raw.at(kMean + i, 0));
            follow(state.square, square_decay.d[0], squares, raw.at(kSquare, 0));
            for (Index at = 0; at < n; at += kLanes<T>)
                store_lanes<T>(load(squares + at) + T(1e-30), squares + at, kLanes<T>);
            for (Index i = 0; i < kDecays; ++i) {
                if (method.factored_[chunk.block].exist()) {
                    for (Index r = 0; r < chunk.rows; ++r) factored(in, out, chunk, r, i, raw);
                    continue;
                }
                follow(state.a[i], decay.d[i], squares, raw.at(kA + i, 0));
                std::copy_n(raw.at(kA + i, 0), n, raw.at(kB + i, 0));
                for (Index at = 0; at < n; at += kLanes<T>) {
                    const Lanes<T> v = load(raw.at(kA + i, at));
                    store_lanes<T>(inverse_root(v, 1e-9), p.at(i, at), kLanes<T>);
                    store_lanes<T>(inverse_root(v, 1e-6), q.at(i, at), kLanes<T>);
                }
            }
            for (Index at = 0; at < n; at += kLanes<T>) {
                const auto row = [&](Index r) { return load(raw.at(r, at)); };
                const auto write = [&](const Lanes<T>& value, Index r) {
                    store_lanes(value, raw.at(r, at), kLanes<T>);
                };
                const Lanes<T> g = row(kGradient), root = inverse_root(row(kSquare), 1e-6);
                write(root, kRoot);
                for (Index i = 0; i < kDecays; ++i) {
                    const Lanes<T> m = row(kMean + i);
                    write(m * root, kScaled + i);
                    write(g * load(p.at(i, at)), kFactored + i);
                    write(m * load(q.at(i, at)), kFactoredMean + i);
                    write(inverse_root(row(kA + i), 1e-8), kRootA + i);
                    write(inverse_root(row(kB + i), 1e-8), kRootB + i);
                }
            }
        }

        void reverse(const l2o::StepIn<T>& in,
                     const l2o::StepCot<T>& cot,
                     const l2o::StepAcc<T>& acc,
                     const Chunk& chunk,
                     const Block<T>& raw,
                     const Block<T>& raw_bar) const {
            const States& state = method.states_[chunk.block];
            const Index n = chunk.at.count;
            const T *g = raw.at(kGradient, 0), *root = raw.at(kRoot, 0);
            T *g_bar = raw_bar.at(kGradient, 0), *root_bar = raw_bar.at(kRoot, 0);
            for (Index i = 0; i < kDecays; ++i) {
                const T *m = raw.at(kMean + i, 0), *scaled_bar = raw_bar.at(kScaled + i, 0);
                const T *p_i = p.at(i, 0), *q_i = q.at(i, 0);
                T *m_bar = raw_bar.at(kMean + i, 0), *p_bar = raw_bar.at(kFactored + i, 0);
                T* q_bar = raw_bar.at(kFactoredMean + i, 0);
                T *from_a = raw_bar.at(kA + i, 0), *from_b = raw_bar.at(kB + i, 0);
                for (Index j = 0; j < n; ++j) {
                    root_bar[j] += scaled_bar[j] * m[j];
                    m_bar[j] += scaled_bar[j] * root[j] + q_bar[j] * q_i[j];
                    g_bar[j] += p_bar[j] * p_i[j];
                    p_bar[j] *= g[j];
                    q_bar[j] *= m[j];
                    from_a[j] -= raw_bar.at(kRootA + i, 0)[j] * slope_of(raw.at(kRootA + i, 0)[j]);
                    from_b[j] -= raw_bar.at(kRootB + i, 0)[j] * slope_of(raw.at(kRootB + i, 0)[j]);
                }
                const T d = mean_decay.d[i];
                sums[0][i] +=
                    mean_decay.slope[i] * follow_back(in, cot, acc, state.mean[i], chunk.at, d, g, m_bar);
                for (Index j = 0; j < n; ++j) g_bar[j] += (1 - d) * m_bar[j];
            }
            T *s_bar = raw_bar.at(kSquare, 0), *squares_bar = raw_bar.at(kRoot, 0);
            for (Index j = 0; j < n; ++j) {
                s_bar[j] -= root_bar[j] * slope_of(root[j]);
                bar[j] = g[j] * g[j];
            }
            const T d = square_decay.d[0];
            sums[1][0] +=
                square_decay.slope[0] * follow_back(in, cot, acc, state.square, chunk.at, d, bar, s_bar);
            for (Index j = 0; j < n; ++j) squares_bar[j] = (1 - d) * s_bar[j];
            for (Index i = 0; i < kDecays; ++i) {
                if (method.factored_[chunk.block].exist()) {
                    for (Index r = 0; r < chunk.rows; ++r)
                        factored_back(in, cot, acc, chunk, r, i, raw_bar, squares_bar);
                    continue;
                }
                T *v_bar = raw_bar.at(kA + i, 0), *from_b = raw_bar.at(kB + i, 0);
                const T *p_bar = raw_bar.at(kFactored + i, 0), *q_bar = raw_bar.at(kFactoredMean + i, 0);
                for (Index j = 0; j < n; ++j)
                    v_bar[j] +=
                        from_b[j] - p_bar[j] * slope_of(p.at(i, 0)[j]) - q_bar[j] * slope_of(q.at(i, 0)[j]);
                sums[2][i] += decay.slope[i] *
                              follow_back(in, cot, acc, state.a[i], chunk.at, decay.d[i], squares, v_bar);
                for (Index j = 0; j < n; ++j) squares_bar[j] += (1 - decay.d[i]) * v_bar[j];
            }
            for (Index j = 0; j < n; ++j) g_bar[j] += 2 * g[j] * squares_bar[j];
        }
        void finish(const l2o::StepAcc<T>& acc) const { sums.add_to(acc, method.decays_); }

      private:
        static Lanes<T> load(const T* from) { return load_lanes(from, kLanes<T>); }
        static Lanes<T> inverse_root(const Lanes<T>& x, double tiny) {
            return (x + T(tiny)).sqrt().inverse();
        }
        /// -dy/dx of y = 1 / sqrt(x).
        static T slope_of(T y) { return T(0.5) * y * y * y; }

        /// What is kept of a state: there is none before the first step, and no infinite slope of its root.
        static T kept(const l2o::StepIn<T>& in, T d) { return in.t() == 0 ? T(0) : d; }

        /// y' = d y + (1 - d) input.
        /// @param y_bar  [n] what the features say of y'; on return with what the new state says.
        /// @return the cotangent of d.
        double follow_back(const l2o::StepIn<T>& in,
                           const l2o::StepCot<T>& cot,
                           const l2o::StepAcc<T>& acc,
                           const l2o::State& state,
                           const Tile& at,
                           T d,
                           const T* input,
                           T* y_bar) const {
            const Index n = at.count;
            if (const View<const T> from = cot.state(state)) {
                gather(from, at, work);
                for (Index j = 0; j < n; ++j) y_bar[j] += work[j];
            }
            const T keep = kept(in, d);
            if (in.t() == 0)
                std::fill_n(work, n, T(0));
            else
                gather(in.state(state), at, work);
            double d_bar = 0;
            for (Index j = 0; j < n; ++j) {
                d_bar += double(y_bar[j]) * (double(work[j]) - double(input[j]));
                work[j] = keep * y_bar[j];
            }
            if (const View<T> to = acc.state(state)) scatter_add(work, at, to);
            return d_bar;
        }

        /// a, b, their inputs and factors for row r of the chunk and decay i.
        void row_factors(const l2o::StepIn<T>& in, const Chunk& chunk, Index r, Index i) const {
            const auto& of = method.factored_[chunk.block];
            const States& state = method.states_[chunk.block];
            const T *old_a = in.state(state.a[i]).row(chunk.row + r),
                    *old_b = in.state(state.b[i]).row(chunk.row + r);
            of.means(squares + r * chunk.cols, mean_a, mean_b);
            const T d = decay.d[i], keep = kept(in, d);
            for (Index e = 0; e < of.size_a(); ++e) a[e] = keep * old_a[e] + (1 - d) * mean_a[e];
            for (Index e = 0; e < of.size_b(); ++e) b[e] = keep * old_b[e] + (1 - d) * mean_b[e];
            of.factors(a, b, factor_a, factor_b, work);
        }
        void factored(const l2o::StepIn<T>& in,
                      const l2o::StepOut<T>* out,
                      const Chunk& chunk,
                      Index r,
                      Index i,
                      const Block<T>& raw) const {
            const auto& of = method.factored_[chunk.block];
            const States& state = method.states_[chunk.block];
            row_factors(in, chunk, r, i);
            if (out != nullptr) {
                std::copy_n(a, of.size_a(), out->state(state.a[i]).row(chunk.row + r));
                std::copy_n(b, of.size_b(), out->state(state.b[i]).row(chunk.row + r));
            }
            const Index first = r * chunk.cols;
            for (Index j = 0; j < chunk.cols; ++j) {
                const Index e = of.a_of(j), f = of.b_of(j);
                *raw.at(kA + i, first + j) = a[e];
                *raw.at(kB + i, first + j) = b[f];
                *p.at(i, first + j) = *q.at(i, first + j) = factor_a[e] * factor_b[f];
            }
        }
        void factored_back(const l2o::StepIn<T>& in,
                           const l2o::StepCot<T>& cot,
                           const l2o::StepAcc<T>& acc,
                           const Chunk& chunk,
                           Index r,
                           Index i,
                           const Block<T>& raw_bar,
                           T* squares_bar) const {
            const auto& of = method.factored_[chunk.block];
            const States& state = method.states_[chunk.block];
            row_factors(in, chunk, r, i);
            std::fill_n(a_bar, of.size_a(), T(0)), std::fill_n(b_bar, of.size_b(), T(0));
            std::fill_n(factor_a_bar, of.size_a(), T(0)), std::fill_n(factor_b_bar, of.size_b(), T(0));
            const Index first = r * chunk.cols;
            for (Index j = 0; j < chunk.cols; ++j) {
                const Index e = of.a_of(j), f = of.b_of(j);
                const T product_bar =
                    *raw_bar.at(kFactored + i, first + j) + *raw_bar.at(kFactoredMean + i, first + j);
                a_bar[e] += *raw_bar.at(kA + i, first + j);
                b_bar[f] += *raw_bar.at(kB + i, first + j);
                factor_a_bar[e] += product_bar * factor_b[f];
                factor_b_bar[f] += product_bar * factor_a[e];
            }
            of.factors_vjp(a, b, factor_a, factor_b, factor_a_bar, factor_b_bar, a_bar, b_bar, work);
            const Index row = chunk.row + r;
            const auto at = [&](Index size) { return Tile{row * size, size}; };
            const T d = decay.d[i];
            sums[2][i] +=
                decay.slope[i] * (follow_back(in, cot, acc, state.a[i], at(of.size_a()), d, mean_a, a_bar) +
                                  follow_back(in, cot, acc, state.b[i], at(of.size_b()), d, mean_b, b_bar));
            for (Index j = 0; j < chunk.cols; ++j)
                squares_bar[first + j] += (1 - d) * of.means_vjp(j, a_bar, b_bar);
        }
    };

  private:
    friend FeatureNet;
    /// Where the state of a block lies; without factors a is the mean of g^2, and b is not there.
    struct States {
        l2o::State mean[kDecays], a[kDecays], b[kDecays], square;
    };

    void declare_block(l2o::OptimizerSpec& spec, const l2o_spec& block) {
        const std::string suffix = spec.blocks() == 1 ? "" : std::string(".") + block.name;
        const auto add = [&](const std::string& name, const char* doc, const l2o::Shape& shape) {
            return spec.state({.name = name + suffix, .doc = doc, .shape = shape, .batched = true});
        };
        const l2o::Shape shape = l2o::shape_of(block);
        const auto& factored = factored_.emplace_back(shape);
        States& states = states_.emplace_back();
        for (std::size_t i = 0; i < std::size(states.mean); ++i) {
            const std::string number = std::to_string(i);
            states.mean[i] = add("mean" + number, "of g", shape);
            if (!factored.exist()) {
                states.a[i] = add("factored" + number, "mean of g^2", shape);
                continue;
            }
            states.a[i] =
                add("factored_a" + number, "mean of g^2 over the largest dimension", {factored.size_a()});
            states.b[i] =
                add("factored_b" + number, "mean of g^2 over the second dimension", {factored.size_b()});
        }
        states.square = add("mean_square", "of g", shape);
    }

    /// The start of every decay is its d_0.
    template <class T>
    void init_own_params(const l2o::ParamsOut<T>& params) const {
        for (const l2o::Param& decay : decays_)
            if (params[decay]) l2o::fill(params[decay], T(0));
    }

    std::array<l2o::Param, 3> decays_;
    std::vector<l2o::recurrent::FactoredSquares> factored_;
    std::vector<States> states_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AdafacMlp>)
