#include <array>
#include <cmath>
#include <l2o/nets/dense.hpp>
#include <l2o/nets/lstm.hpp>
#include <l2o/nets/net.hpp>
#include <l2o/sdk/planned_steps.hpp>
#include <string>

#include "players.hpp"
#include "row_vectors.hpp"

namespace {

using namespace l2o::plugins;  // NOLINT(google-build-using-namespace)

// Shen, Chen, Heaton, Chen, Liu, Yin & Wang 2021, "Learning a minimax optimizer: a pilot study" (ICLR),
// section 3 and, of what it leaves open, its code; per pair of coordinates (u_i, v_i), with g_u = df/du,
// g_v = df/dv and an LSTM of two layers for each player:
//   u <- u + n LSTM_u(g_u / n, g_v / n) in even steps,   v <- v + n LSTM_v(g_v / n, g_u / n) in odd ones.
// form published: n = 1, both gradients are those at z; h and c times 1e-4 before every step; in the first
// fifth of the steps the sign of the output times a rate that rises from 1e-4 to 0.1.
// form scaled, of this project: n^2 is the mean square of both gradients of the instance, the other
// player's gradient is the one of the step before. Deviation: a start of h and c at 0, not N(0, 1e-4).
class L2oMinmax : public l2o::layers::Layered<L2oMinmax> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_minmax",
        .version = "1.0.0",
        .title = "L2O-Minmax (Twin-L2O): two LSTMs that take turns",
        .doc =
            "Shen et al. 2021, \"Learning a minimax optimizer: a pilot study\". A step moves one player: u "
            "in even steps, v in odd ones, each by a small LSTM of its own that every coordinate shares, "
            "which reads the gradient of the coordinate and that of the other player's coordinate of the "
            "same number. form scaled: both divided, and the output multiplied, by the root of their mean "
            "square over the instance, so that it converges to the last digit, and the other player's "
            "gradient is the last one that was seen: a step costs one partial gradient. form published: as "
            "they are, both at the point of the step, which costs two; with the warm-up of the authors' "
            "code. Trained by residual_ratio, or as published by minmax_gain. Pairs by number mean little "
            "where players have several coordinates: see learned_secant."};

    static l2o::Options<L2oMinmax> options() {
        l2o::Options<L2oMinmax> o;
        o.choice("form", &L2oMinmax::form_, {"scaled", "published"}, "what the LSTMs read and write");
        o.integer("hidden", &L2oMinmax::hidden_, "size of each of the two layers", l2o::between(1, 1024));
        o.integer("steps",
                  &L2oMinmax::steps_,
                  "published: how many steps there will be; 0: what horizon and budget leave",
                  l2o::at_least(0));
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        if (!is_published() && steps_ > 0)
            l2o::invalid(
                "steps is " + std::to_string(steps_) +
                ", and form scaled has no warm-up that would follow it; expected 0, or form published");
        const Players players(spec);
        if (spec.blocks() != 2 || players.is_max(0) == players.is_max(1))
            l2o::refuse(
                "this method moves two players of one block each; expected a problem for both, for "
                "example 'seesaw'");
        const std::int64_t n = l2o::element_count(spec.block(0)), n_other = l2o::element_count(spec.block(1));
        if (n != n_other)
            l2o::refuse("the players have " + std::to_string(n) + " and " + std::to_string(n_other) +
                        " coordinates, of which this method makes pairs; expected as many, or another "
                        "method, for example 'learned_secant'");
        first_ = players.is_max(0) ? 1 : 0;
        for (std::size_t k = 0; k < 2; ++k) {
            auto& [layer1, layer2, linear] = nets_[k].parts;
            for (l2o::nets::Lstm* layer : {&layer1, &layer2}) {
                layer->form = l2o::nets::LstmForm::kTorch;
                layer->runs_at = {k == 0, k == 1};
                layer->memory = is_published() ? 1e-4 : 1;
            }
            const std::string who = players.is_max(k) ? "max/" : "min/";
            const auto per_coordinate = l2o::nets::kPerCoordinate;
            layer1.declare(
                spec, {.weights = who + "lstm_1", .h = "h1", .c = "c1"}, 2, hidden_, per_coordinate);
            layer2.declare(
                spec, {.weights = who + "lstm_2", .h = "h2", .c = "c2"}, hidden_, hidden_, per_coordinate);
            linear.declare(
                spec, {.w = who + "linear/w", .b = who + "linear/b", .doc = "read-out"}, hidden_, 1);
        }
        spec.reads_g().flag(L2O_OPTIMIZER_TAKES_TURNS_DRAFT1);
        if (is_published()) {
            warm_up_ = std::floor(0.2 * l2o::planned_steps(spec, steps_, "steps", 2));
        } else {
            spec.flag(L2O_OPTIMIZER_ALTERNATES_DRAFT1);
            g_ = spec.state_like_x("g_before", "the gradient when the player moved last");
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        for (const Net& net : nets_) net.init_params(call, params);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const std::size_t own = step.t() % 2 == 0 ? first_ : 1 - first_, other = 1 - own;
        l2o::nets::Running net(nets_[own], step);
        RowVector<T> g(2);
        g[own] = step.g(own);
        g[other] = is_published() ? step.g(other) : step.state(g_[other]);
        if (is_published()) {
            const auto move = [warm_up = T(rate(step.t()))](auto y, auto x) {
                return warm_up > 0 ? x + warm_up * sign(y) : x + y;
            };
            step.set_x(net.template at<1>(own, std::array{g[own], g[other]}, move, std::array{step.x(own)}),
                       own);
        } else {
            const auto mean = [root = T(std::sqrt(0.5 / double(step.x()->cols())))](auto n) {
                return root * n;
            };
            const auto move = [](auto x, auto n, auto y) { return x + n * y; };
            const auto n = map(mean, norm(g));
            const RowVector<T> in = each(kQuotient<T>, g, {n});
            step.set_x(map(move, step.x(own), n, net.outputs(own, in[own], in[other])), own);
            keep(step, g_, g);
        }
        step.set_x(step.x(other), other);
        for (const l2o::nets::Lstm* layer :
             {&nets_[other].template part<0>(), &nets_[other].template part<1>()})
            for (const l2o::State& waits : {layer->h(other), layer->c(other)})
                step.set(waits, step.state(waits));
    }

  private:
    enum class Form { kScaled, kPublished };
    using Net = l2o::nets::Net<l2o::nets::Lstm, l2o::nets::Lstm, l2o::nets::Dense<l2o::nets::Linear>>;

    [[nodiscard]] bool is_published() const { return form_ == Form::kPublished; }
    /// Of the warm-up; behind it 0.
    [[nodiscard]] double rate(std::int64_t t) const {
        return double(t) < warm_up_ ? 1e-4 + double(t) * (0.1 - 1e-4) / warm_up_ : 0;
    }

    Form form_ = Form::kScaled;
    std::int64_t hidden_ = 20, steps_ = 0;
    std::size_t first_ = 0;
    double warm_up_ = 0;
    std::array<Net, 2> nets_;  // by block
    l2o::BlockStates g_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oMinmax>)
