#include "game.hpp"

namespace {

struct Saddle : l2o::plugins::ScalarGame<Saddle, true> {
    static constexpr l2o::About about{
        .id = "saddle",
        .version = "1.0.0",
        .title = "Saddle: two players that do not see each other",
        .doc =
            "min over u, max over v of f(u, v) = a u^2 - b v^2 with numbers u, v; a, b uniform on [0.9, 1], "
            "u_0, v_0 uniform on [-0.5, 0.5]. The solution is (0, 0). Shen et al. 2021, \"Learning a "
            "minimax optimizer: a pilot study\"."};

    void declare(l2o::OptimizeeSpec& spec) { declare_game(spec, "0"); }

    template <class T>
    static l2o::plugins::Jet<T> jet(T a, T b, T u, T v) {
        return {.f = a * u * u - b * v * v,
                .f_u = 2 * a * u,
                .f_v = -2 * b * v,
                .f_uu = 2 * a,
                .f_uv = 0,
                .f_vv = -2 * b};
    }
    template <class T>
    static T gap(T a, T b, T u, T v) {
        return a * u * u + b * v * v;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Saddle>)
