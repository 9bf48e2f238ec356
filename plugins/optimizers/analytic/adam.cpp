#include <cmath>
#include <l2o/numerics/adam.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/schedule.hpp>

namespace {

// Symbols as in the paper: m, v moments; t counts steps from 1.
struct Adam : l2o::Schedule {
    static constexpr l2o::About about{
        .id = "adam",
        .version = "1.0.0",
        .title = "Adam",
        .doc =
            "m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2, m^ = m / (1 - beta1^t), v^ = v / "
            "(1 - beta2^t), x <- x - learning_rate m^ / (sqrt(v^) + epsilon). Kingma & Ba 2015, algorithm "
            "1."};

    // kTf is the re-ordered form at the end of section 2 of the paper, which TensorFlow implements: its
    // epsilon (eps-hat there) is added to sqrt(v), not to sqrt(v^).
    enum class EpsilonForm { kTorch, kTf };
    EpsilonForm epsilon_form = EpsilonForm::kTorch;
    double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

    static l2o::Options<Adam> options() {
        l2o::Options<Adam> options;
        options.real("learning_rate", &Adam::learning_rate, "size of a step", l2o::kPositive)
            .real("beta1", &Adam::beta1, "decay of the mean of g", l2o::kFraction)
            .real("beta2", &Adam::beta2, "decay of the mean of g^2", l2o::kFraction)
            .real("epsilon", &Adam::epsilon, "keeps the quotient finite", l2o::kNonNegative)
            .choice("epsilon_form",
                    &Adam::epsilon_form,
                    {"torch", "tf"},
                    "epsilon beside the square root of the corrected v^ (torch), or of v itself (tf)");
        add_schedule(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g().coordinatewise();
        plan(spec);
        m_ = spec.state_like_x("m", "mean of g");
        v_ = spec.state_like_x("v", "mean of g^2");
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const double t = static_cast<double>(in.t()) + 1;
        const double root = std::sqrt(l2o::numerics::weight_of_mean(beta2, t));
        const bool torch = epsilon_form == EpsilonForm::kTorch;
        const double rate =
            learning_rate * rate_at(in.t()) * (torch ? 1 : root) / l2o::numerics::weight_of_mean(beta1, t);
        const l2o::numerics::Adam<T> adam(beta1, beta2, rate, torch ? root : 1, epsilon);
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::each(
                [adam](T x, T g, T m, T v, T& x_next, T& m_next, T& v_next) {
                    x_next = x - adam.step(g, m, v, m_next, v_next);
                },
                in.x(k),
                in.g(k),
                in.state(m_[k]),
                in.state(v_[k]),
                out.x(k),
                out.state(m_[k]),
                out.state(v_[k]));
        }
    }

  private:
    l2o::BlockStates m_, v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Adam>)
