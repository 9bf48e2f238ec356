// f(x) = 1/2 w x^2 with w in [1, 2) of the instance's own; from a given instance on, drawing stops: because
// nothing can be drawn, or because somebody interrupts. For the ways out of a training between two windows.
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizee.hpp>

namespace {

struct Stopping {
    static constexpr l2o::About about{.id = "stopping",
                                      .version = "1.0.0",
                                      .title = "A parabola whose instances run out",
                                      .doc = "f(x) = 1/2 w x^2, w ~ U[1, 2)."};
    enum class Reason { kDiverged, kCancelled };
    Reason reason = Reason::kDiverged;
    std::int64_t stops_at = -1;

    static l2o::Options<Stopping> options() {
        l2o::Options<Stopping> options;
        options.integer("stops_at", &Stopping::stops_at, "the first training instance that fails; -1: none")
            .choice("reason", &Stopping::reason, {"diverged", "cancelled"}, "what is said then");
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        spec.block({.name = "x", .axes = "n", .shape = {1}});
        w_ = spec.data({.name = "w", .batched = true});
    }
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        if (draw.split == L2O_SPLIT_TRAIN && stops_at >= 0 &&
            draw.first >= static_cast<std::uint64_t>(stops_at)) {
            throw l2o::Failure(reason == Reason::kDiverged ? L2O_STATUS_NUMERICAL : L2O_STATUS_CANCELLED,
                               "the well is dry");
        }
        for (std::int64_t row = 0; data[w_] && row < draw.count; ++row) {
            l2o::numerics::Stream random(
                draw.call.key, draw.first + static_cast<std::uint64_t>(row), draw.purpose(w_));
            data[w_][row] = T(1) + random.uniform<T>();
        }
    }
    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (std::int64_t row = 0; row < x[0].rows; ++row) {
            l2o::numerics::Stream random(call.key, call.row0 + static_cast<std::uint64_t>(row));
            x[0][row] = random.normal<T>();
        }
    }
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T w = *in.row(w_, row), x = in.x(0)[row];
            if (out.f()) out.f()[row] = w * x * x / 2;
            if (out.g(0)) out.g(0)[row] = w * x;
        }
    }
    template <class T>
    void hvp(const l2o::EvalIn<T>& in, const l2o::Tensors<const T>& v, const l2o::Tensors<T>& hv) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) hv[0][row] = *in.row(w_, row) * v[0][row];
    }

  private:
    l2o::Data w_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Stopping>)
