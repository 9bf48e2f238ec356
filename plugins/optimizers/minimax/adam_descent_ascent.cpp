#include <cmath>
#include <l2o/numerics/adam.hpp>
#include <l2o/sdk/schedule.hpp>

#include "players.hpp"

namespace {

struct AdamDescentAscent : l2o::Schedule, l2o::plugins::Turns {
    static constexpr l2o::About about{
        .id = "adam_descent_ascent",
        .version = "1.0.0",
        .title = "Adam for both players",
        .doc =
            "A step of Adam down df/du for the blocks that minimise and up df/dv for those that maximise: m "
            "<- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2, a step of learning_rate m^ / "
            "(sqrt(v^) + epsilon) with m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t). order simultaneous: "
            "both gradients at the same point; alternating: df/dv at the new u. Kingma & Ba 2015, algorithm "
            "1, in games as in Radford, Metz & Chintala 2016 (arXiv:1511.06434), with beta1 = 0.5; Gidel et "
            "al. 2019 (arXiv:1807.04740) for a negative beta1."};

    double learning_rate = 1e-3, beta1 = 0.5, beta2 = 0.99, epsilon = 1e-8;

    static l2o::Options<AdamDescentAscent> options() {
        using Own = AdamDescentAscent;
        l2o::Options<Own> options;
        options.real("learning_rate", &Own::learning_rate, "size of a step", l2o::kPositive)
            .real("beta1", &Own::beta1, "decay of the mean of g", l2o::Range{-1, 1, true, true})
            .real("beta2", &Own::beta2, "decay of the mean of g^2", l2o::kFraction)
            .real("epsilon", &Own::epsilon, "keeps the quotient finite", l2o::kNonNegative);
        add_order(options);
        add_schedule(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_turns(spec);
        plan(spec);
        m_ = spec.state_like_x("m", "mean of g");
        v_ = spec.state_like_x("v", "mean of g^2");
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const double t = double(in.t()) + 1, weight1 = l2o::numerics::weight_of_mean(beta1, t),
                     root = std::sqrt(l2o::numerics::weight_of_mean(beta2, t));
        const auto move = [&](std::size_t k, const l2o::View<const T>& gradient) {
            const double rate = sign(k) * learning_rate * rate_at(in.t()) / weight1;
            const l2o::numerics::Adam<T> adam(beta1, beta2, rate, root, epsilon);
            l2o::each(
                [adam](T x, T g, T m, T v, T& x_next, T& m_next, T& v_next) {
                    x_next = x - adam.step(g, m, v, m_next, v_next);
                },
                in.x(k),
                gradient,
                in.state(m_[k]),
                in.state(v_[k]),
                out.x(k),
                out.state(m_[k]),
                out.state(v_[k]));
        };
        take_turns(in, out, move, [&](std::size_t k) {
            l2o::copy(in.state(m_[k]), out.state(m_[k]));
            l2o::copy(in.state(v_[k]), out.state(v_[k]));
        });
    }

  private:
    l2o::BlockStates m_, v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AdamDescentAscent>)
