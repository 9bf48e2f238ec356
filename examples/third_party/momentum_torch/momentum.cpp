#include <l2o/torch/optimizer.hpp>

// Polyak 1964, heavy ball, with learned step and momentum; LibTorch differentiates forward().
struct Momentum : l2o::th::Rule<Momentum> {
    static constexpr l2o::About about{
        "org.example.momentum_torch", "1.0.0", "Learned heavy ball", "Polyak 1964", "MIT", "Example"};
    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g().drop(L2O_FLAG_ROW_INVARIANT);
        w_ = spec.param({.name = "eta_mu", .shape = {2}});
        v_ = spec.state_like_x("v");
    }
    void init_params(const l2o_call&, const auto&, const auto& p) const { p[w_][0] = 0.01, p[w_][1] = 0.9; }
    l2o::th::Out forward(const l2o::th::In& in) const {
        l2o::th::Out out;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            out.state.push_back(in.param(w_)[1] * in.state(v_[k]) + in.g(k));
            out.x.push_back(in.x(k) - in.param(w_)[0] * out.state[k]);
        }
        return out;
    }
    l2o::Param w_;
    l2o::BlockStates v_;
};
L2O_PLUGIN(l2o::Optimizer<Momentum>)
