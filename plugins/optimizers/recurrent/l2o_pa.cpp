#include <algorithm>
#include <l2o/layers/product.hpp>
#include <l2o/nets/dense.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/linear_model.hpp>

namespace {

namespace nets = l2o::nets;
using l2o::numerics::matrix;

// Liu, Chen, Wang & Yin 2023, "Towards constituting mathematical structures for learning to optimize" (ICML,
// arXiv:2305.18577), equations 18 and 19 with P and A alone: a coordinate-wise LSTM chooses the step size P
// and the momentum A of every coordinate of an accelerated proximal gradient method. Symbols as there:
//   g_k = A^T (A y_k - b),   P, A = 2 s(head(LSTM(g_k, y_k))),   s the logistic function, y_0 = x_0,
//   x_{k+1} = prox(y_k - P/L g_k, lambda P/L),   y_{k+1} = x_{k+1} + A (x_{k+1} - x_k).
// Deviations: L as everywhere here, 1.001 |A|^2 and not |A|^2 / 0.9999; the gate of the LSTM in Sonnet's
// form, with its initial values; the derivative goes through what the LSTM reads, too (their code detaches
// it); zero state at the start (their code: normal).
class L2oPa : public l2o::layers::Layered<L2oPa> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_pa",
        .version = "1.0.0",
        .title = "L2O-PA: an LSTM chooses step and momentum of a proximal gradient method",
        .doc =
            "Liu, Chen, Wang & Yin 2023 (arXiv:2305.18577). For 1/2 ||Ax - b||^2 + lambda ||x||_1: an "
            "accelerated proximal gradient method whose step size and momentum a small shared LSTM chooses "
            "for every coordinate, each between 0 and 2 times the usual ones, from the gradient and the "
            "point",
        .needs = "A,b,lambda"};

    static l2o::Options<L2oPa> options() {
        l2o::Options<L2oPa> o;
        o.integer("hidden",
                  &L2oPa::hidden_,
                  "size of each of the two layers and of the head",
                  l2o::between(1, 1024));
        o.choice(
            "state_init",
            &L2oPa::state_init_,
            {"zero", "normal"},
            "of the LSTM: zero, or drawn from N(0, 1) as in the reference code, which makes a run depend on "
            "the draw");
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        model_ = l2o::linear_model(spec);
        spec.drop(L2O_FLAG_ROW_INVARIANT);
        if (state_init_ == StateInit::kNormal) spec.flag(L2O_FLAG_STOCHASTIC);
        spec.info.points_per_step = 1;
        lambda_ = spec.needs("lambda");
        l_ = spec.param({.name = "const.L",
                         .doc = "Lipschitz constant of the gradient of 1/2 ||Ax - b||^2",
                         .flags = L2O_SPEC_DERIVED});
        auto& [layer1, layer2, head1, head2] = net_.parts;
        layer1.declare(spec, {.weights = "lstm_1", .h = "h1", .c = "c1"}, 2, hidden_, nets::kPerCoordinate);
        layer2.declare(
            spec, {.weights = "lstm_2", .h = "h2", .c = "c2"}, hidden_, hidden_, nets::kPerCoordinate);
        head1.declare(
            spec, {.w = "head/w0", .b = "head/b0", .doc = "rows: output of layer 2"}, hidden_, hidden_);
        head2.declare(spec, {.w = "head/w1", .b = "head/b1", .doc = "columns: P, A"}, hidden_, 2);
        y_ = spec.state_like_x("y", "the extrapolated point")[0];
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        if (const auto to = params[l_])
            to.scalar() = T(l2o::numerics::lipschitz_constant<T>(matrix(data[model_.a])));
        net_.init_params(call, params);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        const auto normal = [](auto& random) { return random.normal(); };
        const auto& [layer1, layer2, head1, head2] = net_.parts;
        for (const l2o::State& cell : {layer1.h(), layer1.c(), layer2.h(), layer2.c()}) {
            if (state_init_ == StateInit::kZero)
                l2o::fill(state[cell], T(0));
            else
                l2o::numerics::fill_rows(state[cell], in.call.key, in.call.row0, cell.index(), normal);
        }
        l2o::copy(in.x(0), state[y_]);
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        if (const auto to = acc.x(0); to && cot[y_])
            l2o::each([](T bar, T& sum) { sum += bar; }, cot[y_], to);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const auto x = step.x(), y = step.state(y_);
        const auto a = step.matrix(model_.a);
        const auto g = (y * t(a) - step.data(model_.b)) * a;
        const auto rule = [](auto P, auto A, auto x_k, auto y_k, auto g_k, auto L, auto lambda) {
            using std::max;
            const decltype(P) zero(0), z = y_k - P / L * g_k, theta = lambda * P / L;
            const auto x_next = max(zero, z - theta) - max(zero, -z - theta);
            return std::array{x_next, x_next + A * (x_next - x_k)};
        };
        nets::Running net(net_, step);
        const auto both = net.template at<2>(0,
                                             std::array{g, y},
                                             rule,
                                             std::array{x, y, g},
                                             std::array{step.param(l_), step.shared_data(lambda_)});
        step.set_x(columns(both, 0, model_.n));
        step.set(y_, columns(both, model_.n, model_.n));
    }

  private:
    enum class StateInit { kZero, kNormal };

    std::int64_t hidden_ = 20;
    StateInit state_init_ = StateInit::kZero;
    l2o::LinearModel model_;
    nets::Net<nets::Lstm, nets::Lstm, nets::Dense<nets::Relu>, nets::Dense<nets::TwiceLogistic>> net_;
    l2o::Need lambda_;
    l2o::Param l_;
    l2o::State y_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oPa>)
