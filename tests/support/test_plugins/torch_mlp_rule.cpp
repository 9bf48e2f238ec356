// A learned update rule written with LibTorch, to test the adapter: a small network 2-8-1 reads the gradient
// and a momentum of every coordinate, m' = 0.9 m + 0.1 g, and writes x' = x + 0.1 net(g, m').
#include <ATen/ATen.h>

#include <l2o/numerics/philox.hpp>
#include <l2o/torch/optimizer.hpp>

namespace {

class TorchMlpRule : public l2o::th::Rule<TorchMlpRule> {
  public:
    static constexpr l2o::About about{
        .id = "torch_mlp_rule",
        .version = "1.0.0",
        .title = "A coordinate-wise network on LibTorch",
        .doc = "A network 2-8-1 shared by all coordinates maps gradient and momentum to the update",
        .runtime = l2o::th::kRuntime};

    static l2o::Options<TorchMlpRule> options() {
        l2o::Options<TorchMlpRule> o;
        o.choice("fault", &TorchMlpRule::fault_, {"none", "shape", "count"}, "what forward() does wrong");
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.coordinatewise().reads_g().drop(L2O_FLAG_ROW_INVARIANT);
        params_ = {spec.param({.name = "hidden/w", .shape = {2, kHidden}}),
                   spec.param({.name = "hidden/b", .shape = {kHidden}}),
                   spec.param({.name = "out/w", .shape = {kHidden, 1}})};
        m_ = spec.state_like_x("m");
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        for (const l2o::Param& param : params_) {
            l2o::numerics::Stream random(call.key, param.index());
            if (params[param])
                l2o::each([&](T& weight) { weight = T(0.5) * random.normal<T>(); }, params[param]);
        }
    }

    l2o::th::Out forward(const l2o::th::In& in) const {
        l2o::th::Out out;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const at::Tensor m = 0.9 * in.state(m_[k]) + 0.1 * in.g(k);
            const at::Tensor features = at::stack({in.g(k), m}, -1);
            const at::Tensor hidden =
                at::tanh(at::matmul(features, in.param(params_[0])) + in.param(params_[1]));
            out.x.push_back(in.x(k) + 0.1 * at::matmul(hidden, in.param(params_[2])).squeeze(-1));
            if (fault_ != Fault::kCount) out.state.push_back(fault_ == Fault::kShape ? m.sum() : m);
        }
        return out;
    }

  private:
    std::array<l2o::Param, 3> params_;
    l2o::BlockStates m_;
    enum class Fault { kNone, kShape, kCount };
    static constexpr std::int64_t kHidden = 8;

    Fault fault_ = Fault::kNone;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<TorchMlpRule>)
