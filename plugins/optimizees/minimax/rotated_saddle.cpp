#include "game.hpp"

namespace {

struct RotatedSaddle : l2o::plugins::ScalarGame<RotatedSaddle, true> {
    static constexpr l2o::About about{
        .id = "rotated_saddle",
        .version = "2.0.0",
        .title = "Rotated saddle: strongly convex in u, strongly concave in v",
        .doc =
            "min over u, max over v of f(u, v) = a u^2 - b v^2 + 2 u v with numbers u, v; a, b uniform on "
            "[0.9, 1], u_0, v_0 uniform on [-0.5, 0.5]. The solution is (0, 0). Shen et al. 2021, "
            "\"Learning a minimax optimizer: a pilot study\"."};

    void declare(l2o::OptimizeeSpec& spec) { declare_game(spec, "0"); }

    template <class T>
    static l2o::plugins::Jet<T> jet(T a, T b, T u, T v) {
        return {.f = a * u * u - b * v * v + 2 * u * v,
                .f_u = 2 * a * u + 2 * v,
                .f_v = -2 * b * v + 2 * u,
                .f_uu = 2 * a,
                .f_uv = 2,
                .f_vv = -2 * b};
    }
    // The best answers are v = u / b and u = -v / a.
    template <class T>
    static T gap(T a, T b, T u, T v) {
        return (a + 1 / b) * u * u + (b + 1 / a) * v * v;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<RotatedSaddle>)
