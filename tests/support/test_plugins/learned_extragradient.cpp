// Extragradient whose step is learned: the smallest method with a derivative through an ask round.
#include <cmath>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <vector>

namespace {

struct LearnedExtragradient {
    static constexpr l2o::About about{
        .id = "learned_extragradient",
        .version = "1.0.0",
        .title = "Extragradient with a learned step",
        .doc =
            "q = z + s eta g(z), z <- z + s eta g(q), eta = exp(log_step), s = -1 for "
            "blocks that minimise, 1 for those that maximise."};

    double initial_step = 0.1;
    std::int64_t rounds = 1;

    static l2o::Options<LearnedExtragradient> options() {
        l2o::Options<LearnedExtragradient> options;
        options.real(
            "initial_step", &LearnedExtragradient::initial_step, "step before training", l2o::kPositive);
        options.integer("rounds", &LearnedExtragradient::rounds, "how often it asks", l2o::at_least(1));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g().asks(1, L2O_ORACLE_GRADIENT);
        log_step_ = spec.param({.name = "log_step", .doc = "logarithm of the step"});
        for (std::size_t k = 0; k < spec.blocks(); ++k)
            direction_.push_back((spec.block(k).flags & L2O_SPEC_MAXIMISED) != 0 ? 1 : -1);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        if (params[log_step_]) params[log_step_].scalar() = T(std::log(initial_step));
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool asks = in.round() < rounds;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = signed_step(in, k);
            const auto move = [=](T z, T g, T& z_next) { z_next = z + eta * g; };
            if (asks) {
                l2o::each(move, in.x(k), in.g(k), out.q(k, 0));
                l2o::copy(in.x(k), out.x(k));
            } else {
                l2o::each(move, in.x(k), in.qg(k, 0), out.x(k));
            }
        }
        if (asks) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const bool asks = in.round() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto cot_x = cot.x(k);
            if (asks) {
                add(T(1), cot_x, acc.x(k));
                move_vjp(in, k, in.g(k), cot.q(k, 0), acc.g(k), acc);
            } else {
                move_vjp(in, k, in.qg(k, 0), cot_x, acc.qg(k, 0), acc);
            }
        }
    }

  private:
    template <class T>
    T signed_step(const l2o::StepIn<T>& in, std::size_t k) const {
        return T(direction_[k]) * std::exp(in.param(log_step_).scalar());
    }

    template <class T>
    static void add(T factor, const l2o::View<const T>& from, const l2o::View<T>& to) {
        if (from && to) l2o::each([=](T c, T& a) { a += factor * c; }, from, to);
    }

    /// Adds the cotangents of x, g and log_step for z_next = x + eta g.
    template <class T>
    void move_vjp(const l2o::StepIn<T>& in,
                  std::size_t k,
                  const l2o::View<const T>& g,
                  const l2o::View<const T>& cot,
                  const l2o::View<T>& acc_g,
                  const l2o::StepAcc<T>& acc) const {
        if (!cot) return;
        const T eta = signed_step(in, k);
        add(T(1), cot, acc.x(k));
        add(eta, cot, acc_g);
        if (!acc.param(log_step_)) return;
        T sum = 0;
        for (std::int64_t row = 0; row < cot.rows; ++row)
            for (std::int64_t i = 0; i < cot.cols; ++i) sum += cot(row, i) * eta * g(row, i);
        acc.param(log_step_).scalar() += sum;
    }

    l2o::Param log_step_;
    std::vector<int> direction_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedExtragradient>)
