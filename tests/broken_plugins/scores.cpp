#include <cmath>
#include <cstdint>
#include <l2o/sdk/loss.hpp>
#include <type_traits>

// Losses that are right where it is easy to look, and wrong elsewhere.
namespace {

/// A sound one with all there is to break: 1/2 sum over t = 1 .. T of the mean over the particles of f^2.
struct Squares {
    static constexpr l2o::About about_as(const char* id) {
        return {.id = id, .version = "1.0.0", .title = "A broken loss", .doc = "For tests."};
    }
    static void declare(l2o::LossSpec& spec) { spec.reads(L2O_LOSS_READS_F).additive(); }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for (std::int64_t j = 1; j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            for (std::int64_t row = 0; row < f.rows; ++row)
                for (std::int64_t p = 0; p < f.cols; ++p)
                    per_row[row] += f(row, p) * f(row, p) / T(2 * f.cols);
        }
    }
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        reverse(trajectory, cot_row, acc, 1);
    }

  protected:
    template <class T>
    static void reverse(const l2o::Trajectory<T>& trajectory,
                        const l2o::View<const T>& cot_row,
                        const l2o::TrajectoryAcc<T>& acc,
                        double factor) {
        for (std::int64_t j = 1; j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            const auto cot_f = acc.f(j);
            for (std::int64_t row = 0; row < cot_f.rows; ++row)
                for (std::int64_t p = 0; p < cot_f.cols; ++p)
                    cot_f(row, p) += T(factor) * cot_row[row] * f(row, p) / T(f.cols);
        }
    }
};

struct ScoresSoundly : Squares {
    static constexpr l2o::About about = about_as("scores_soundly");
};

struct WrongInFloat32 : Squares {
    static constexpr l2o::About about = about_as("wrong_in_float32");
    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        Squares::eval(trajectory, per_row);
        if (std::is_same_v<T, float>) per_row[0] *= T(1.1);
    }
};

struct WrongOfMany : Squares {
    static constexpr l2o::About about = about_as("wrong_of_many");
    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        Squares::eval(trajectory, per_row);
        if (trajectory.batch() >= 32) per_row[0] *= T(1.1);
    }
};

struct WrongVjpInFloat32 : Squares {
    static constexpr l2o::About about = about_as("wrong_vjp_in_float32");
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        reverse(trajectory, cot_row, acc, std::is_same_v<T, float> ? 1.1 : 1);
    }
};

struct WrongVjpOfMany : Squares {
    static constexpr l2o::About about = about_as("wrong_vjp_of_many");
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        reverse(trajectory, cot_row, acc, trajectory.batch() >= 32 ? 1.1 : 1);
    }
};

struct WrongVjpOfPopulations : Squares {
    static constexpr l2o::About about = about_as("wrong_vjp_of_populations");
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        reverse(trajectory, cot_row, acc, trajectory.raw().particles > 0 ? 1.1 : 1);
    }
};

struct WrongVjpOfWindows : Squares {
    static constexpr l2o::About about = about_as("wrong_vjp_of_windows");
    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        reverse(trajectory, cot_row, acc, trajectory.t0() > 0 ? 1.1 : 1);
    }
};

// A score of every particle, as if it were a row.
struct ScoresParticles : Squares {
    static constexpr l2o::About about = about_as("scores_particles");
    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        const auto f = trajectory.f(trajectory.len() - 1);
        for (std::int64_t i = 0; i < f.rows * f.cols; ++i) per_row.data[i] = f.data[i];
    }
};

// Deals the particles out to the rows.
struct DealsParticles : Squares {
    static constexpr l2o::About about = about_as("deals_particles");
    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for (std::int64_t j = 1; j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            for (std::int64_t i = 0; i < f.rows * f.cols; ++i) per_row[i % f.rows] += f.data[i];
        }
    }
};

// A mean over the points of the window.
struct FalselyAdditive : Squares {
    static constexpr l2o::About about = about_as("falsely_additive");
    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        Squares::eval(trajectory, per_row);
        for (std::int64_t row = 0; row < trajectory.batch(); ++row) per_row[row] /= T(trajectory.len() - 1);
    }
};

// Does not ask whether anybody wants the cotangent of x.
struct AsksNobody : Squares {
    static constexpr l2o::About about = about_as("asks_nobody");
};
l2o_status L2O_CALL vjp_of_all(const l2o_loss* loss,
                               l2o_call* call,
                               const l2o_trajectory* trajectory,
                               const l2o_tensor* cot_row,
                               const l2o_trajectory_acc* acc) noexcept {
    if (acc->x[0] != nullptr) return L2O_STATUS_INTERNAL;
    return l2o::Loss<AsksNobody>::kApi.vjp(loss, call, trajectory, cot_row, acc);
}
struct AsksNobodyInC : l2o::Loss<AsksNobody> {
    static constexpr l2o_loss_api kApi = [] {
        l2o_loss_api api = l2o::Loss<AsksNobody>::kApi;
        api.vjp = &vjp_of_all;
        return api;
    }();
};

}  // namespace

L2O_PLUGIN(l2o::Loss<ScoresSoundly>,
           l2o::Loss<WrongInFloat32>,
           l2o::Loss<WrongOfMany>,
           l2o::Loss<WrongVjpInFloat32>,
           l2o::Loss<WrongVjpOfMany>,
           l2o::Loss<WrongVjpOfPopulations>,
           l2o::Loss<WrongVjpOfWindows>,
           l2o::Loss<ScoresParticles>,
           l2o::Loss<DealsParticles>,
           l2o::Loss<FalselyAdditive>,
           AsksNobodyInC)
