#include <l2o/sdk/optimizer.hpp>

// Polyak 1964, heavy ball: v <- mu v + g, x <- x - learning_rate v.
struct Momentum {
    static constexpr l2o::About about{
        "org.example.momentum_cpp", "1.0.0", "Heavy ball", "Polyak 1964", "MIT", "Example"};
    double learning_rate = 0.01, mu = 0.9;
    static l2o::Options<Momentum> options() {
        l2o::Options<Momentum> options;
        options.real("learning_rate", &Momentum::learning_rate, "size of a step", l2o::kPositive);
        options.real("mu", &Momentum::mu, "share of v that is kept", l2o::kFraction);
        return options;
    }
    void declare(l2o::OptimizerSpec& s) { v_ = s.minimises().reads_g().coordinatewise().state_like_x("v"); }
    void step(const auto& in, const auto& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto rule = [eta = learning_rate, mu = mu](auto x, auto g, auto v, auto& x1, auto& v1) {
                v1 = static_cast<decltype(x)>(mu) * v + g;
                x1 = x - static_cast<decltype(x)>(eta) * v1;
            };
            l2o::each(rule, in.x(k), in.g(k), in.state(v_[k]), out.x(k), out.state(v_[k]));
        }
    }
    l2o::BlockStates v_;
};
L2O_PLUGIN(l2o::Optimizer<Momentum>)
