#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/error.hpp"
#include "tests/plugins/optimizers/rig.hpp"

using namespace l2o::test;

namespace {

const OptionText kPlain{{"preprocess", "identity"}, {"output_scale", "1"}};

Rig swarm(std::int64_t particles, OptionText options, const std::vector<l2o::TensorSpec>& blocks) {
    options["particles"] = std::to_string(particles);
    return {"l2o_swarm", options, blocks};
}
/// Values of every particle.
void set_f(Rig& rig, std::int64_t batch, const std::vector<double>& f) {
    rig.f = rig.numbers(batch, Dtype::kF64);
    set_values(rig.f, f);
}
Tensor& state_of(Rig& rig, TensorSet& state, const std::string& name) {
    for (std::size_t i = 0; i < state.size(); ++i)
        if (rig.optimizer().state()[i]->name == name) return state[i];
    throw std::invalid_argument(name);
}
/// By W_a = 0 and U_a = 0 all four features have the weight 1/4.
void attend_to_all(Rig& rig) {
    for (const char* name : {"attn/W_a", "attn/U_a"}) {
        Tensor& w = rig.param(name);
        set_values(w, std::vector<double>(std::size_t(w.size()), 0.0));
    }
}
/// How the LSTM of a swarm moves coordinates in the first step that read e; by l2o_dm.
std::vector<double> moves_by(Rig& swarm, const std::vector<double>& e) {
    Rig dm("l2o_dm", kPlain, {block("x", {std::int64_t(e.size())})});
    for (const char* name :
         {"lstm_1/w_gates", "lstm_1/b_gates", "lstm_2/w_gates", "lstm_2/b_gates", "linear/w", "linear/b"})
        set_values(dm.param(name), values(swarm.param(name)));
    TensorSet x = dm.blocks(1), g = dm.blocks(1), state = dm.state(1);
    set_values(g[0], e);
    return step_once(dm, state, x, g, 1);
}
/// What the coordinates of particle p moved from `before` on.
std::vector<double> moved(const std::vector<double>& after,
                          const std::vector<double>& before,
                          std::size_t n,
                          std::size_t p) {
    std::vector<double> out;
    for (std::size_t i = p * n; i < (p + 1) * n; ++i) out.push_back(after[i] - before[i]);
    return out;
}

// tests/peers/swarm_step.py
const std::vector<double> kGoldenX{
    -0.110404142925, 0.1749252108199, -0.6675178161592, 0.711346487,     -1.187754185336,  1.185786082056,
    -1.613910141376, 1.563270182616,  -1.918880030033,  1.800140996675,  -2.085090865228,  1.885611871587,
    -2.095296310369, 1.816898744922,  -1.941086176718,  1.587541586361,  -1.649543321046,  1.225926594772,
    -1.232617136384, 0.7616817133323, -0.7206306174165, 0.2276623758501, -0.1663766013347, -0.343088419404};
const std::vector<double> kGoldenIntra{
    0.2417267827317, 0.2265712924247, 0.2522775041968, 0.258069916087,  0.260516407592,  0.2488304544166,
    0.2590550481073, 0.2429282864266, 0.2643891106832, 0.2493763842576, 0.2564998535557, 0.2403831400824,
    0.2333676989931, 0.2752218689011, 0.2321675941402, 0.258618657404,  0.2687999624256, 0.2548484352312,
    0.238911618386,  0.231408478648,  0.2459322979779, 0.2450623574759, 0.2522787605463, 0.2551410580868,
    0.2454882172903, 0.2478485817613, 0.2558461031409, 0.2561243124203, 0.2397795223062, 0.2522406255316,
    0.2529635179269, 0.2573261508449, 0.2413895417541, 0.2592123319043, 0.2675074612513, 0.2603955202105,
    0.2543133255798, 0.2490833144652, 0.2449021388554, 0.2449724802792, 0.2524570297061, 0.2461694494464,
    0.2440996328988, 0.2476386297981, 0.25184010296,   0.2455349041841, 0.2434907669946, 0.2469933697122,
    0.2405736484686, 0.2339875350084, 0.2340892078927, 0.2578911475653, 0.2477352161425, 0.257057699725,
    0.2519377829479, 0.2540313355398, 0.2526209405979, 0.2602749730793, 0.2515152615835, 0.2516251273207,
    0.2590701947911, 0.2486797921873, 0.2624577475759, 0.2364523895743, 0.2666815546191, 0.2639779285792,
    0.2477366797901, 0.2332569831865, 0.245742556312,  0.2443952413865, 0.2481630983626, 0.2535178503359,
    0.2441040391639, 0.2461352668588, 0.2523807611938, 0.2569358686236, 0.243471849905,  0.2454915631755,
    0.2517194606535, 0.2562892978539, 0.2375823347662, 0.2449422500962, 0.2691986805454, 0.2613648810367,
    0.2595895020035, 0.247905184011,  0.251168692909,  0.2397151853246, 0.2601955517209, 0.2457591726363,
    0.2493819702558, 0.2409917462891, 0.2426326115094, 0.2613933932565, 0.2302506562898, 0.2579281873495};
const std::vector<double> kGoldenInter{0.4257109310071,
                                       0.03766248193415,
                                       0.01467934730111,
                                       0.04449815902421,
                                       0.2253910401337,
                                       0.09623866124597,
                                       0.01794709261021,
                                       0.09958726923699,
                                       0.2261664117303,
                                       0.2528051722105,
                                       0.1060853366757,
                                       0.01001459410861,
                                       0.09009387833278,
                                       0.2467862081713,
                                       0.04009141160121,
                                       0.009507489965459,
                                       0.04481712031025,
                                       0.4211393690717};
}  // namespace

TEST_CASE("l2o_swarm: a single particle is l2o_dm that reads twice the mixture of its features") {
    Rig rig = swarm(1, kPlain, {block("x", {3})});
    attend_to_all(rig);
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    set_f(rig, 1, {1});
    set_values(g[0], {2, -0.5, 0.01});
    // g and m' = 0.1 g, a quarter of each; the best point is this one, and nobody attracts.
    const std::vector<double> want = moves_by(rig, {0.55 * 2, 0.55 * -0.5, 0.55 * 0.01});
    CHECK(relative_error(step_once(rig, state, x, g, 1), want) < 1e-12);
}

TEST_CASE("l2o_swarm: of two particles the better one is not attracted, the other by the difference") {
    OptionText options = kPlain;
    options["likeness"] = "1e-6";  // each hears itself alone, q = 1
    Rig rig = swarm(2, options, {block("x", {3})});
    attend_to_all(rig);
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    const std::vector<double> at{1, 2, 3, 0.5, -1, 3.5};
    set_values(x[0], at);
    set_f(rig, 1, {5, 4});
    const std::vector<double> after = step_once(rig, state, x, g, 1);
    // m is that of one particle among two of which the other has no likeness: softmax of (c'c, 0).
    const double c_c = (0.25 + 9 + 0.25) / 16, share = 1 / (1 + std::exp(-c_c));
    std::vector<double> e;
    for (std::size_t i = 0; i < 3; ++i) e.push_back((at[i] - at[3 + i]) / 4 * (1 + share / 2));
    CHECK(relative_error(moved(after, at, 3, 0), moves_by(rig, e)) < 1e-12);
    CHECK(relative_error(moved(after, at, 3, 1), moves_by(rig, {0, 0, 0})) < 1e-12);
}

TEST_CASE("l2o_swarm: of far particles the nearest better one attracts, where e^{-alpha d^2} is 0 for all") {
    Rig rig = swarm(3, kPlain, {block("x", {2})});
    attend_to_all(rig);
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    const std::vector<double> at{0, 0, 100, 0, 0, -90};
    set_values(x[0], at);
    set_f(rig, 1, {3, 1, 2});
    const std::vector<double> after = step_once(rig, state, x, g, 1);
    // The third attracts the first: c = (0, 90) / 4, and m = 1 of itself.
    CHECK(relative_error(moved(after, at, 2, 0), moves_by(rig, {0, 90.0 / 4 * (1 + 1.0 / 3)})) < 1e-12);
}

TEST_CASE("l2o_swarm: the best point of a particle stays until it finds a better one") {
    Rig rig = swarm(2, {}, {block("x", {1})});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    const double nan = std::nan("");
    const std::vector<std::vector<double>> f{{3, nan}, {4, 5}, {2, 6}}, best{{1, 1}, {1, 2}, {3, 2}};
    for (std::size_t t = 0; t < 3; ++t) {
        set_values(x[0], {double(t) + 1, double(t) + 1});
        set_f(rig, 1, f[t]);
        step_once(rig, state, x, g, 1, std::int64_t(t));
        CHECK(values(state_of(rig, state, "best")) == best[t]);
    }
    CHECK(values(state_of(rig, state, "best_f")) == std::vector<double>{2, 5});
}

TEST_CASE("l2o_swarm: attention to features sums to 1, that to particles is m q, 1 / P^2 among equals") {
    constexpr std::int64_t kBatch = 3, kParticles = 4, kN = 5;
    Rig rig = swarm(kParticles, {}, {block("x", {kN})});
    TensorSet x = rig.blocks(kBatch), g = rig.blocks(kBatch), state = rig.state(kBatch);
    randomise(x, 1), randomise(g, 2), randomise(state, 3);
    set_f(rig, kBatch, {3, 1, 4, 1.5, 9, 2, 6, 5, 3.5, 8, 9.5, 7});
    TensorSet at = rig.blocks(kBatch);
    at.copy_from(x);
    step_once(rig, state, at, g, kBatch, 1);
    const std::vector<double> intra = values(state_of(rig, state, "intra")),
                              inter = values(state_of(rig, state, "inter"));
    for (std::size_t i = 0; i < std::size_t(kBatch * kParticles * kN); ++i) {
        const std::size_t first = i / kN * 4 * kN + i % kN;
        CHECK(intra[first] + intra[first + kN] + intra[first + 2 * kN] + intra[first + 3 * kN] ==
              doctest::Approx(1).epsilon(1e-12));
    }
    for (std::size_t row = 0; row < inter.size(); row += kParticles) {
        const double sum = std::accumulate(
            inter.begin() + std::ptrdiff_t(row), inter.begin() + std::ptrdiff_t(row) + kParticles, 0.0);
        CHECK(sum > 0);
        CHECK(sum < 1);
    }
    x.zero(), g.zero(), state.zero();
    step_once(rig, state, x, g, kBatch);
    for (const double both : values(state_of(rig, state, "inter"))) CHECK(both == doctest::Approx(1.0 / 16));
}

TEST_CASE("l2o_swarm: particles in another order move as they did, in that order") {
    constexpr std::int64_t kParticles = 3, kN = 4;
    const std::size_t order[] = {2, 0, 1};
    Rig rig = swarm(kParticles, {}, {block("x", {kN})});
    const auto run = [&](bool permuted) {
        TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
        const auto set = [&](Tensor& tensor, std::size_t width, unsigned seed) {
            std::mt19937 bits(seed);
            std::vector<double> all(kParticles * width);
            for (std::size_t p = 0; p < kParticles; ++p)
                for (std::size_t i = 0; i < width; ++i)
                    all[(permuted ? order[p] : p) * width + i] = std::normal_distribution<double>()(bits);
            set_values(tensor, all);
        };
        set(x[0], kN, 1);
        for (unsigned t = 0; t < 4; ++t) {
            set(g[0], kN, 10 + t);
            rig.f = rig.numbers(1, Dtype::kF64);
            set(rig.f, 1, 20 + t);
            step_once(rig, state, x, g, 1, t);
        }
        return values(x[0]);
    };
    const std::vector<double> plain = run(false), permuted = run(true);
    for (std::size_t p = 0; p < kParticles; ++p)
        for (std::size_t i = 0; i < kN; ++i)
            CHECK(permuted[order[p] * kN + i] == doctest::Approx(plain[p * kN + i]).epsilon(1e-10));
}

TEST_CASE("l2o_swarm: an instance moves by the same bits alone and among others") {
    constexpr std::int64_t kBatch = 200, kN = 3;  // more than are computed at once
    Rig rig = swarm(5, {}, {block("x", {kN})});
    TensorSet x = rig.blocks(kBatch), g = rig.blocks(kBatch), state = rig.state(kBatch);
    randomise(x, 1), randomise(g, 2);
    std::vector<TensorSet> all;
    all.push_back(std::move(x)), all.push_back(std::move(g));
    set_f(rig, kBatch, std::vector<double>(kBatch * 5, 0.0));
    std::vector<double> f = values(rig.f);
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = std::sin(double(i));
    set_values(rig.f, f);
    const std::vector<double> x_all = values(all[0][0]), g_all = values(all[1][0]);
    const std::vector<double> together = step_once(rig, state, all[0], all[1], kBatch);
    for (const std::size_t row : {0U, 77U, 199U}) {
        TensorSet x_one = rig.blocks(1), g_one = rig.blocks(1), state_one = rig.state(1);
        const auto part = [&](const std::vector<double>& from, std::size_t width) {
            const auto first = from.begin() + std::ptrdiff_t(row * width);
            return std::vector<double>(first, first + std::ptrdiff_t(width));
        };
        set_values(x_one[0], part(x_all, 5 * kN));
        set_values(g_one[0], part(g_all, 5 * kN));
        set_f(rig, 1, part(f, 5));
        CHECK(step_once(rig, state_one, x_one, g_one, 1) == part(together, 5 * kN));
    }
}

TEST_CASE("l2o_swarm: its weights are those of one particle and one coordinate") {
    const Rig one = swarm(1, {}, {block("x", {1})}),
              many = swarm(7, {}, {block("x", {3, 5}), block("y", {2})});
    REQUIRE(one.params.size() == many.params.size());
    std::int64_t count = 0;
    for (std::size_t i = 0; i < one.params.size(); ++i) {
        CHECK(one.params[i].shape() == many.params[i].shape());
        count += one.params[i].size();
    }
    CHECK(count == 22 * 80 + 80 + 40 * 80 + 80 + 21 + 10 + 200 + 10 + 10);
}

TEST_CASE("l2o_swarm: blocks are one point, whichever way it is cut") {
    Rig whole = swarm(3, {}, {block("x", {5})}), cut = swarm(3, {}, {block("x", {2}), block("y", {3})});
    cut.params.copy_from(whole.params);
    TensorSet x = whole.blocks(1), g = whole.blocks(1), state = whole.state(1), x_cut = cut.blocks(1),
              g_cut = cut.blocks(1), state_cut = cut.state(1);
    randomise(x, 1), randomise(g, 2);
    set_f(whole, 1, {2, 3, 1}), set_f(cut, 1, {2, 3, 1});
    const auto divide = [](const Tensor& from, TensorSet& to) {
        std::vector<double> first, rest;
        for (std::size_t i = 0; const double value : values(from))
            (i++ % 5 < 2 ? first : rest).push_back(value);
        set_values(to[0], first), set_values(to[1], rest);
    };
    divide(x[0], x_cut), divide(g[0], g_cut);
    for (int t = 0; t < 3; ++t) {
        step_once(whole, state, x, g, 1, t);
        step_once(cut, state_cut, x_cut, g_cut, 1, t);
    }
    TensorSet want = cut.blocks(1);
    divide(x[0], want);
    for (const std::size_t k : {0U, 1U}) CHECK(relative_error(values(x_cut[k]), values(want[k])) < 1e-12);
}

TEST_CASE("l2o_swarm: three steps equal those of an evaluation of the equations number by number") {
    constexpr std::int64_t kBatch = 2;
    Rig rig = swarm(3,
                    {{"hidden", "5"},
                     {"attention", "3"},
                     {"output_scale", "0.1"},
                     {"attraction", "0.5"},
                     {"likeness", "2"}},
                    {block("x", {4})});
    const auto fill = [](Tensor& tensor, auto&& rule) {
        std::vector<double> numbers(std::size_t(tensor.size()));
        for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = rule(double(i));
        set_values(tensor, numbers);
    };
    for (std::size_t k = 0; k < rig.params.size(); ++k)
        fill(rig.params[k], [&](double i) { return 0.3 * std::sin(1 + 7 * double(k) + i); });
    TensorSet x = rig.blocks(kBatch), g = rig.blocks(kBatch), state = rig.state(kBatch);
    fill(x[0], [](double i) { return 2 * std::sin(3 * i); });
    rig.f = rig.numbers(kBatch, Dtype::kF64);
    for (int t = 0; t < 3; ++t) {
        fill(g[0], [&](double i) { return 1.5 * std::cos(2 + i + 5 * t); });
        fill(rig.f, [&](double r) { return std::sin(4 + 3 * r + t); });
        step_once(rig, state, x, g, kBatch, t);
    }
    CHECK(relative_error(values(x[0]), kGoldenX) < 1e-12);
    CHECK(relative_error(values(state_of(rig, state, "intra")), kGoldenIntra) < 1e-12);
    CHECK(relative_error(values(state_of(rig, state, "inter")), kGoldenInter) < 1e-12);
}

TEST_CASE("l2o_swarm: step_vjp equals central differences, by every input") {
    constexpr std::int64_t kBatch = 2;
    for (const char* preprocess : {"identity", "log_sign"})
        for (const std::int64_t t : {0, 2}) {
            Rig rig = swarm(
                3,
                {{"preprocess", preprocess}, {"output_scale", "0.3"}, {"hidden", "4"}, {"log_sign_k", "1"}},
                {block("x", {3}), block("y", {2})});
            TensorSet x = rig.blocks(kBatch), g = rig.blocks(kBatch), state = rig.state(kBatch);
            randomise(x, 1), randomise(g, 2), randomise(state, 5);
            set_f(rig, kBatch, {0.3, -0.4, 1.2, 0.1, -0.9, 0.6});
            const VjpError error = step_vjp_error(rig, state, x, g, kBatch, t);
            CAPTURE(preprocess);
            CAPTURE(t);
            CAPTURE(error.input);
            CHECK(error.worst < 1e-7);
        }
}

TEST_CASE("l2o_swarm: options that are no swarm are refused") {
    const auto with = [](const char* key, const char* value) {
        return Rig("l2o_swarm", {{key, value}}, {block("x", {2})});
    };
    CHECK_THROWS_WITH_AS((void)with("particles", "0"), doctest::Contains("particles"), l2o::framework::Error);
    CHECK_THROWS_WITH_AS((void)with("likeness", "0"), doctest::Contains("likeness"), l2o::framework::Error);
    CHECK_THROWS_WITH_AS((void)with("momentum", "1"), doctest::Contains("momentum"), l2o::framework::Error);
    CHECK_THROWS_WITH_AS(
        (void)with("preprocess", "none"), doctest::Contains("preprocess"), l2o::framework::Error);
}
