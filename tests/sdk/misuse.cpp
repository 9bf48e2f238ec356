// Mistakes that once compiled, and left out in silence what they were about. Each has to be refused with the
// sentence behind "says:"; test_misuse.sh compares.
#include <l2o/layers/layered.hpp>
#include <l2o/sdk/loss.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <l2o/sdk/optimizer.hpp>

namespace {

constexpr l2o::About kAbout{.id = "org.example.misuse",
                            .version = "1",
                            .title = "",
                            .doc = "",
                            .license = "MIT",
                            .vendor = "Example"};

struct Step {
    static constexpr l2o::About about = kAbout;
    void declare(l2o::OptimizerSpec&) {}
    template <class T>
    void step(const l2o::StepIn<T>&, const l2o::StepOut<T>&) const {}
};

// says: step_vjp is there and cannot be called
struct NotConst : Step {
    template <class T>
    void step_vjp(const l2o::StepIn<T>&, const l2o::StepCot<T>&, const l2o::StepAcc<T>&) {}
};
template class l2o::Optimizer<NotConst>;

// says: init_params is there and cannot be called
struct WrongArgument : Step {
    template <class T>
    void init_params(const l2o_call&, const l2o::ParamsOut<T>&, const l2o::ParamsOut<T>&) const {}
};
template class l2o::Optimizer<WrongArgument>;

// says: init_state is there and cannot be called
struct OneType : Step {
    void init_state(const l2o::StepIn<double>&, const l2o::StatesOut<double>&) const {}
};
template class l2o::Optimizer<OneType>;

// says: init_state_vjp is there without step_vjp
struct HalfOfIt : Step {
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&, const l2o::StatesCot<T>&, const l2o::StepAcc<T>&) const {}
};
template class l2o::Optimizer<HalfOfIt>;

// says: step is missing or cannot be called
struct NoStep {
    static constexpr l2o::About about = kAbout;
    void declare(l2o::OptimizerSpec&) {}
};
template class l2o::Optimizer<NoStep>;

// says: the class is final
struct Final final : Step {};
template class l2o::Optimizer<Final>;

// says: options is there and is not
struct WrongOptions : Step {
    static int options() { return 0; }
};
const l2o_component* wrong_options = l2o::detail::component<l2o::Optimizer<WrongOptions>>();

// says: step is there beside forward()
struct BothSteps : l2o::layers::Layered<BothSteps> {
    static constexpr l2o::About about = kAbout;
    void declare(l2o::OptimizerSpec& spec) { measure(spec); }
    template <class T>
    void step(const l2o::StepIn<T>&, const l2o::StepOut<T>&) const {}
    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        step.set_x(step.x());
    }
};
template class l2o::Optimizer<BothSteps>;

// says: forward is missing or cannot be called
struct ForwardNotConst : l2o::layers::Layered<ForwardNotConst> {
    static constexpr l2o::About about = kAbout;
    void declare(l2o::OptimizerSpec& spec) { measure(spec); }
    template <class T>
    void forward(l2o::layers::Step<T>& step) {
        step.set_x(step.x());
    }
};
template class l2o::Optimizer<ForwardNotConst>;

struct Bowl {
    static constexpr l2o::About about = kAbout;
    void declare(l2o::OptimizeeSpec&) {}
    template <class T>
    void sample(const l2o::Draw&, const l2o::DataOut<T>&) const {}
    template <class T>
    void init_point(const l2o_call&, const l2o::DataIn<T>&, const l2o::Tensors<T>&) const {}
    template <class T>
    void eval(const l2o::EvalIn<T>&, const l2o::EvalOut<T>&) const {}
};

// says: hvp is there and cannot be called
struct PrivateHvp : Bowl {
  private:
    template <class T>
    void hvp(const l2o::EvalIn<T>&, const l2o::Tensors<const T>&, const l2o::Tensors<T>&) const {}
};
template class l2o::Optimizee<PrivateHvp>;

// says: metrics is there and cannot be called
struct ConstMetrics : Bowl {
    template <class T>
    void metrics(const l2o::EvalIn<T>&, const l2o::DataOut<T>&) const {}
};
template class l2o::Optimizee<ConstMetrics>;

// says: vjp is there and cannot be called
struct WrongVjp {
    static constexpr l2o::About about = kAbout;
    void declare(l2o::LossSpec&) {}
    template <class T>
    void eval(const l2o::Trajectory<T>&, const l2o::View<T>&) const {}
    template <class T>
    void vjp(const l2o::Trajectory<T>&, const l2o::View<T>&, const l2o::TrajectoryAcc<T>&) const {}
};
template class l2o::Loss<WrongVjp>;

}  // namespace
