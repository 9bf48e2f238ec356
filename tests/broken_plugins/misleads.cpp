#include <type_traits>

#include "bowl.hpp"

// Optimizees that are right where it is easy to look, and wrong elsewhere.
namespace {

using l2o::broken::Bowl;

struct WrongByLittle : Bowl {
    static constexpr l2o::About about = about_as("wrong_by_little");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.g(0); ++row) out.g(0)(row, 0) *= T(1 + 1e-6);
    }
};

struct WrongInFloat32 : Bowl {
    static constexpr l2o::About about = about_as("wrong_in_float32");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.g(0) && std::is_same_v<T, float>; ++row)
            out.g(0)(row, 0) += T(0.1);
    }
};

struct WrongOfMany : Bowl {
    static constexpr l2o::About about = about_as("wrong_of_many");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        if (in.rows() >= 32 && out.f()) out.f()[0] += T(1);
    }
};

struct DrawsInSecret : Bowl {
    static constexpr l2o::About about = about_as("draws_in_secret");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.f(); ++row)
            out.f()[row] += T(in.raw().batch_key[0] % 1000);
    }
};

// Counts rows from 0, wherever the batch begins.
struct StartsFromZero : Bowl {
    static constexpr l2o::About about = about_as("starts_from_zero");
    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        l2o::numerics::fill_rows(
            x[0], call.key, 0, 0, [](l2o::numerics::Stream& random) { return random.normal(); });
    }
};

struct ForgetsAlone : Bowl {
    static constexpr l2o::About about = about_as("forgets_alone");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.f() && !out.g(0); ++row) out.f()[row] += T(1);
    }
};

// Deals the rows out to the instances.
struct DealsRows : Bowl {
    static constexpr l2o::About about = about_as("deals_rows");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        const std::int64_t instances = in.rows() / in.raw().rows_per_instance;
        for (std::int64_t row = 0; row < in.rows() && out.f(); ++row) {
            T f = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                const T d = in.x(0)(row, i) - in.data(c)(row % instances, i);
                f += d * d * d * d / 4;
            }
            out.f()[row] = f;
        }
    }
};

// A gradient step.
struct StepsForward : Bowl {
    static constexpr l2o::About about = about_as("steps_forward");
    template <class T>
    void prox(const l2o::EvalIn<T>& in, const l2o::View<const T>& tau, const l2o::Tensors<T>& u) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            for (std::int64_t i = 0; i < n; ++i) {
                const T d = in.x(0)(row, i) - in.data(c)(in.instance(row), i);
                u[0](row, i) = in.x(0)(row, i) - tau[row] * d * d * d;
            }
        }
    }
};

struct ClaimsHvp : Bowl {
    static constexpr l2o::About about = about_as("claims_hvp");
    void declare(l2o::OptimizeeSpec& spec) {
        Bowl::declare(spec);
        spec.info.answers |= L2O_ORACLE_HVP;
    }
};

struct NothingToMove : Bowl {
    static constexpr l2o::About about = about_as("nothing_to_move");
    void declare(l2o::OptimizeeSpec&) {}
};

// Has a solution and would compute it, which it does not say of the tensor.
struct SolvesNothing : Bowl {
    static constexpr l2o::About about = about_as("solves_nothing");
    void declare(l2o::OptimizeeSpec& spec) {
        Bowl::declare(spec);
        f_star = spec.solution({.name = "f_star", .batched = true});
    }
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Bowl::sample(draw, data);
        if (data[f_star]) l2o::fill(data[f_star], T(0));
    }
    template <class T>
    void solve(const l2o_call&, const l2o::DataIn<T>&, const l2o::DataOut<T>&) const {}
    l2o::Data f_star;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<WrongByLittle>,
           l2o::Optimizee<WrongInFloat32>,
           l2o::Optimizee<WrongOfMany>,
           l2o::Optimizee<DrawsInSecret>,
           l2o::Optimizee<StartsFromZero>,
           l2o::Optimizee<ForgetsAlone>,
           l2o::Optimizee<DealsRows>,
           l2o::Optimizee<StepsForward>,
           l2o::Optimizee<ClaimsHvp>,
           l2o::Optimizee<NothingToMove>,
           l2o::Optimizee<SolvesNothing>)
