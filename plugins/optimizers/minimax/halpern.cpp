#include "players.hpp"

namespace {

struct Halpern {
    static constexpr l2o::About about{
        .id = "halpern",
        .version = "1.0.0",
        .title = "Halpern's iteration with an extragradient step",
        .doc =
            "With b = 1 / (k + 2) in step k = 0, 1, ...: w = z + b (z_0 - z), z_half = w - eta F(z), z <- w "
            "- eta F(z_half): form eag (EAG-C). form feg, for problems that are not monotone as well: b = 1 "
            "/ (k + 1) and z_half = w - (1 - b) eta F(z). Two gradients per step, F = (df/du, -df/dv); |F| "
            "falls as 1 / k, the best rate there is. Halpern 1967; Yoon & Ryu 2021 (arXiv:2102.07922), "
            "algorithm EAG-C; Lee & Kim 2021 (arXiv:2106.02326), equation FEG with rho = 0."};

    enum class Form { kEag, kFeg };
    Form form = Form::kEag;
    double learning_rate = 0.1;

    static l2o::Options<Halpern> options() {
        l2o::Options<Halpern> options;
        options.real("learning_rate", &Halpern::learning_rate, "the step eta, at most 1/L", l2o::kPositive)
            .choice("form", &Halpern::form, {"eag", "feg"}, "of the extrapolation and of b");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g().asks(1, L2O_ORACLE_GRADIENT);
        start_ = spec.state_like_x("start", "z_0");
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::copy(in.x(k), state[start_[k]]);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool is_first_half = in.round() == 0, is_eag = form == Form::kEag;
        const double b = 1 / (double(in.t()) + (is_eag ? 2 : 1));
        const double rate = is_first_half && !is_eag ? (1 - b) * learning_rate : learning_rate;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = T(rate * players_.sign(k)), pull = T(b);
            l2o::each([=](T x, T g, T start, T& to) { to = x + pull * (start - x) - eta * g; },
                      in.x(k),
                      is_first_half ? in.g(k) : in.qg(k, 0),
                      in.state(start_[k]),
                      is_first_half ? out.q(k, 0) : out.x(k));
            if (is_first_half) l2o::copy(in.x(k), out.x(k));
            l2o::copy(in.state(start_[k]), out.state(start_[k]));
        }
        if (is_first_half) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

  private:
    l2o::plugins::Players players_;
    l2o::BlockStates start_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Halpern>)
