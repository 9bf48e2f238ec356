#include <l2o/layers/layered.hpp>

// Polyak 1964, heavy ball, with learned step and momentum: v' = g + mu v, x' = x - eta v'.
struct LearnedMomentum : l2o::layers::Layered<LearnedMomentum> {
    static constexpr l2o::About about{.id = "org.example.learned_momentum",
                                      .version = "1.0.0",
                                      .title = "Learned heavy ball",
                                      .doc = "Polyak 1964",
                                      .license = "MIT",
                                      .vendor = "Example"};
    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g().coordinatewise();
        eta_ = spec.param({.name = "eta", .doc = "step"});
        mu_ = spec.param({.name = "mu", .doc = "momentum"});
        v_ = spec.state_like_x("v");
        measure(spec);
    }
    void init_params(const l2o_call&, const auto&, const auto& params) const {
        if (params[eta_]) params[eta_].scalar() = 0.01;
        if (params[mu_]) params[mu_].scalar() = 0.9;
    }
    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            const auto v = step.set(v_[k], step.g(k) + step.param(mu_) * step.state(v_[k]));
            step.set_x(step.x(k) - step.param(eta_) * v, k);
        }
    }
    l2o::Param eta_, mu_;
    l2o::BlockStates v_;
};
L2O_PLUGIN(l2o::Optimizer<LearnedMomentum>)
