#include <array>
#include <numbers>

#include "game.hpp"

namespace {

struct Seesaw : l2o::plugins::ScalarGame<Seesaw, false> {
    static constexpr l2o::About about{
        .id = "seesaw",
        .version = "1.0.0",
        .title = "Seesaw: not convex in u, linear in v",
        .doc =
            "min over u, max over v of f(u, v) = -b v sin(a pi u) with numbers u, v; u_0, v_0 uniform on "
            "[-0.5, 0.5]. The solutions are u = k / a with a whole number k, v = 0; d_u is to the nearest. "
            "There is no duality gap: it is infinite elsewhere. Shen et al. 2021, \"Learning a minimax "
            "optimizer: a pilot study\"."};

    std::int64_t range = 1;

    static l2o::Options<Seesaw> options() {
        l2o::Options<Seesaw> options;
        options.integer("range",
                        &Seesaw::range,
                        "a and b are uniform on 1: [0.9, 1], [0.9, 1]; 2: [0, 1], [0.9, 1]; 3: [0, 3.5], "
                        "[0.9, 1]; 4: [0, 5], [0.9, 1]; 5: [0.9, 1], [0, 1]; 6: [0, 5], [0, 1]; 7: [0, 5], "
                        "[0, 2]",
                        l2o::between(1, 7));
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) { declare_game(spec, "the nearest k / a"); }

    [[nodiscard]] Uniform range_of_a() const { return kRanges[static_cast<std::size_t>(range - 1)][0]; }
    [[nodiscard]] Uniform range_of_b() const { return kRanges[static_cast<std::size_t>(range - 1)][1]; }
    template <class T>
    static l2o::plugins::Jet<T> jet(T a, T b, T u, T v) {
        const T turn = std::numbers::pi_v<T> * a, sine = std::sin(turn * u), cosine = std::cos(turn * u);
        return {.f = -b * v * sine,
                .f_u = -b * turn * v * cosine,
                .f_v = -b * sine,
                .f_uu = b * turn * turn * v * sine,
                .f_uv = -b * turn * cosine,
                .f_vv = 0};
    }
    template <class T>
    static T distance_of_u(T a, T u) {
        const T k = std::round(std::abs(u) * a);
        return k == 0 ? std::abs(u) : std::abs(std::abs(u) - k / a);
    }

  private:
    static constexpr std::array<std::array<Uniform, 2>, 7> kRanges{{{{{0.9, 1}, {0.9, 1}}},
                                                                    {{{0, 1}, {0.9, 1}}},
                                                                    {{{0, 3.5}, {0.9, 1}}},
                                                                    {{{0, 5}, {0.9, 1}}},
                                                                    {{{0.9, 1}, {0, 1}}},
                                                                    {{{0, 5}, {0, 1}}},
                                                                    {{{0, 5}, {0, 2}}}}};
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Seesaw>)
