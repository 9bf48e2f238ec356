#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "framework/error.hpp"
#include "tests/plugins/optimizers/recurrent/mlp_method.hpp"

using namespace l2o::test;

namespace {

using Numbers = std::vector<double>;

/// One tensor as the equations have it, every mean kept for every element: no indices of factors.
class Reference {
  public:
    Reference(const Shape& shape, Rig& rig) : shape_(shape) {
        for (const std::int64_t extent : shape) n_ *= static_cast<std::size_t>(extent);
        const auto decays = [](const Numbers& start, const Numbers& p) {
            Numbers d;
            for (std::size_t i = 0; i < start.size(); ++i)
                d.push_back(1 - std::exp(10 * (std::log(1 - start[i]) / 10 + p[i])));
            return d;
        };
        mean_decay_ = decays({0.9, 0.99, 0.999}, values(rig.param("decay/mean")));
        square_decay_ = decays({0.999}, values(rig.param("decay/mean_square")))[0];
        decay_ = decays({0.9, 0.99, 0.999}, values(rig.param("decay/factored")));
        for (auto* means : {&m_, &a_, &b_}) means->fill(Numbers(n_, 0.0));
        s_.assign(n_, 0.0);
        // The two largest dimensions, of equal ones the last.
        for (std::size_t i = 0; i < shape.size(); ++i) order_.push_back(i);
        std::stable_sort(
            order_.begin(), order_.end(), [&](std::size_t i, std::size_t j) { return shape[i] < shape[j]; });
    }

    std::vector<Numbers> features(const Numbers& g, const Numbers& x) {
        const bool is_factored = shape_.size() >= 2;
        std::vector<Numbers> rows(28, Numbers(n_));
        rows[0] = g, rows[1] = x;
        Numbers squares;
        for (const double value : g) squares.push_back(value * value + 1e-30);
        for (std::size_t j = 0; j < n_; ++j)
            s_[j] = square_decay_ * s_[j] + (1 - square_decay_) * g[j] * g[j];
        for (std::size_t i = 0; i < 3; ++i) {
            const Numbers over_largest = is_factored ? mean_over(squares, order_.back()) : squares;
            const Numbers over_second = is_factored ? mean_over(squares, order_[order_.size() - 2]) : squares;
            for (std::size_t j = 0; j < n_; ++j) {
                m_[i][j] = mean_decay_[i] * m_[i][j] + (1 - mean_decay_[i]) * g[j];
                a_[i][j] = decay_[i] * a_[i][j] + (1 - decay_[i]) * over_largest[j];
                b_[i][j] = decay_[i] * b_[i][j] + (1 - decay_[i]) * over_second[j];
            }
            const Numbers mean_a = is_factored ? mean_over(a_[i], order_[order_.size() - 2]) : a_[i];
            for (std::size_t j = 0; j < n_; ++j) {
                const double m = m_[i][j], a = a_[i][j], b = b_[i][j], root = 1 / std::sqrt(s_[j] + 1e-6);
                double p = 1 / std::sqrt(std::max(a + 1e-9, 1e-9)), q = 1 / std::sqrt(a + 1e-6);
                if (is_factored)
                    p = q =
                        1 / std::sqrt(std::max(a / (mean_a[j] + 1e-9), 1e-9)) / std::sqrt(std::max(b, 1e-9));
                rows[2 + i][j] = m;
                rows[5][j] = s_[j];
                rows[6 + i][j] = m * root;
                rows[9][j] = root;
                rows[10 + i][j] = g[j] * p;
                rows[13 + i][j] = a;
                rows[16 + i][j] = b;
                rows[19 + i][j] = 1 / std::sqrt(a + 1e-8);
                rows[22 + i][j] = 1 / std::sqrt(b + 1e-8);
                rows[25 + i][j] = m * q;
            }
        }
        return rows;
    }

  private:
    [[nodiscard]] std::size_t stride(std::size_t dimension) const {
        std::size_t product = 1;
        for (std::size_t i = dimension + 1; i < shape_.size(); ++i)
            product *= static_cast<std::size_t>(shape_[i]);
        return product;
    }
    /// At every element, the mean over all that differ from it in this dimension only.
    [[nodiscard]] Numbers mean_over(const Numbers& list, std::size_t dimension) const {
        Numbers out(n_);
        const auto extent = static_cast<std::size_t>(shape_[dimension]);
        for (std::size_t j = 0; j < n_; ++j) {
            const std::size_t at = j / stride(dimension) % extent, first = j - at * stride(dimension);
            for (std::size_t i = 0; i < extent; ++i)
                out[j] += list[first + i * stride(dimension)] / double(extent);
        }
        return out;
    }

    Shape shape_;
    std::size_t n_ = 1;
    std::vector<std::size_t> order_;
    Numbers mean_decay_, decay_, s_;
    double square_decay_ = 0;
    std::array<Numbers, 3> m_, a_, b_;
};

}  // namespace

TEST_CASE("adafac_mlp: it has 197 weights, seven of them decays that start at their d_0") {
    Rig rig("adafac_mlp", {}, {block("W", {4, 3}), block("b", {3})});
    std::int64_t count = 0;
    for (const Tensor& param : rig.params.tensors()) count += param.size();
    CHECK(count == 197);
    CHECK(rig.param("mlp/w0").shape() == Shape{39, 4});
    CHECK(rig.param("mlp/w1").shape() == Shape{4, 4});
    CHECK(rig.param("mlp/w2").shape() == Shape{4, 2});
    CHECK(values(rig.param("decay/mean")) == Numbers{0, 0, 0});
    CHECK(values(rig.param("decay/mean_square")) == Numbers{0});
    CHECK(values(rig.param("decay/factored")) == Numbers{0, 0, 0});
}

TEST_CASE(
    "adafac_mlp: of a matrix it keeps a mean square per row and per column, of a vector one per element") {
    Rig rig("adafac_mlp", {}, {block("W", {2, 5}), block("b", {3})});
    std::vector<std::pair<std::string, Shape>> factored;
    for (const l2o_spec* spec : rig.optimizer().state())
        if (std::string(spec->name).starts_with("factored"))
            factored.emplace_back(spec->name, l2o::shape_of(*spec));
    REQUIRE(factored.size() == 9);
    CHECK(factored[0] == std::pair<std::string, Shape>{"factored_a0.W", {2}});
    CHECK(factored[1] == std::pair<std::string, Shape>{"factored_b0.W", {5}});
    CHECK(factored[6] == std::pair<std::string, Shape>{"factored0.b", {3}});

    // g_ij = u_i v_j has the factors of its squares: a_i = c u_i^2 mean v^2, b_j = c v_j^2 mean u^2.
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    set_values(g[0], {1, 2, 3, 4, 5, -2, -4, -6, -8, -10});
    step_once(rig, state, x, g, 1);
    const Numbers a = values(state[1]), b = values(state[2]);
    CHECK(a[0] == doctest::Approx(0.1 * 11).epsilon(1e-13));
    CHECK(a[1] == doctest::Approx(0.1 * 44).epsilon(1e-13));
    for (std::size_t j = 0; j < 5; ++j)
        CHECK(b[j] == doctest::Approx(0.1 * 2.5 * double((j + 1) * (j + 1))).epsilon(1e-13));
}

TEST_CASE("adafac_mlp: five steps on tensors of 0 to 4 dimensions are those of an independent evaluation") {
    constexpr std::int64_t kBatch = 60;  // more rows of the small ones than are worked on at once
    const std::vector<Shape> shapes{{4, 3}, {}, {3, 2, 3}, {5}, {3, 3}, {2, 2, 4, 3}};
    std::vector<l2o::TensorSpec> blocks;
    for (const Shape& shape : shapes) blocks.push_back(block("x" + std::to_string(blocks.size()), shape));
    Rig rig("adafac_mlp",
            {{"step_mult", "0.3"}, {"exp_mult", "0.7"}, {"time_scale", "0.02"}, {"hidden", "5"}},
            blocks);
    randomise(rig.params, 1);
    for (const char* name : {"decay/mean", "decay/mean_square", "decay/factored"}) {
        Numbers p = values(rig.param(name));
        for (double& value : p) value *= 0.05;
        set_values(rig.param(name), p);
    }
    TensorSet x = rig.blocks(kBatch), g = rig.blocks(kBatch), state = rig.state(kBatch);
    randomise(x, 2);
    std::vector<Reference> references;
    for (std::size_t r = 0; r < kBatch; ++r)
        for (const Shape& shape : shapes) references.emplace_back(shape, rig);
    for (int t = 0; t < 5; ++t) {
        randomise(g, 10U + unsigned(t));
        std::vector<Numbers> want(shapes.size());
        for (std::size_t r = 0; r < kBatch; ++r)
            for (std::size_t k = 0; k < shapes.size(); ++k) {
                const auto raw = references[r * shapes.size() + k].features(row(g[k], r), row(x[k], r));
                const Numbers next = mlp_method_step(rig, raw, t, 0.3, 0.7, 0.02);
                want[k].insert(want[k].end(), next.begin(), next.end());
            }
        step_once(rig, state, x, g, kBatch, t);
        for (std::size_t k = 0; k < shapes.size(); ++k) CHECK(relative_error(values(x[k]), want[k]) <= 1e-12);
    }
}

TEST_CASE("adafac_mlp: a decay of a square does not fall below 0, one of a mean does") {
    Rig rig("adafac_mlp", {}, {block("x", {2})});
    // (1 - 0.9) exp(10 * 0.3) = 2.01
    for (const char* name : {"decay/mean", "decay/factored"}) set_values(rig.param(name), {0.3, 0, 0});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    set_values(g[0], {3, -4});
    step_once(rig, state, x, g, 1);
    const double rest = 0.1 * std::exp(3.0);
    CHECK(values(state[0])[0] == doctest::Approx(3 * rest).epsilon(1e-13));
    CHECK(values(state[1])[1] == doctest::Approx(16).epsilon(1e-13));
}

TEST_CASE("adafac_mlp: the rows of a matrix may be renamed, and it may be transposed") {
    Rig rig("adafac_mlp", {{"step_mult", "1"}}, {block("x", {7, 5})});
    Rig other("adafac_mlp", {{"step_mult", "1"}}, {block("x", {5, 7})});
    const auto turn = [](Numbers list) {
        std::rotate(list.begin(), list.begin() + 2 * 5, list.end());
        return list;
    };
    const auto transpose = [](const Numbers& list) {
        Numbers out(35);
        for (std::size_t i = 0; i < 7; ++i)
            for (std::size_t j = 0; j < 5; ++j) out[j * 7 + i] = list[i * 5 + j];
        return out;
    };
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    TensorSet x_turned = rig.blocks(1), g_turned = rig.blocks(1), state_turned = rig.state(1);
    TensorSet x_t = other.blocks(1), g_t = other.blocks(1), state_t = other.state(1);
    randomise(x, 1);
    set_values(x_turned[0], turn(values(x[0])));
    set_values(x_t[0], transpose(values(x[0])));
    for (int t = 0; t < 3; ++t) {
        randomise(g, 5U + unsigned(t));
        set_values(g_turned[0], turn(values(g[0])));
        set_values(g_t[0], transpose(values(g[0])));
        step_once(rig, state, x, g, 1, t);
        step_once(rig, state_turned, x_turned, g_turned, 1, t);
        step_once(other, state_t, x_t, g_t, 1, t);
    }
    CHECK(relative_error(values(x_turned[0]), turn(values(x[0]))) <= 1e-12);
    CHECK(relative_error(values(x_t[0]), transpose(values(x[0]))) <= 1e-12);
    CHECK(relative_error(values(x_turned[0]), values(x[0])) > 0.1);
}

TEST_CASE("adafac_mlp: step_vjp equals central differences, with factors and without") {
    for (const std::int64_t t : {0, 3}) {
        Rig rig("adafac_mlp",
                {{"step_mult", "0.5"}, {"exp_mult", "0.5"}, {"hidden", "6"}},
                {block("W", {4, 3}), block("b", {3}), block("T", {2, 3, 2})});
        set_values(rig.param("decay/mean"), {0.01, -0.02, 0.03});
        set_values(rig.param("decay/mean_square"), {-0.1});
        set_values(rig.param("decay/factored"), {0.02, 0.01, -0.03});
        TensorSet x = rig.blocks(2), g = rig.blocks(2), state = rig.state(2);
        randomise(x, 1);
        randomise(g, 2);
        randomise(state, 9);
        for (Tensor& tensor : state.tensors()) {  // differences stay in the domain of the roots
            Numbers numbers = values(tensor);
            for (double& number : numbers) number = 0.1 + std::abs(number);
            set_values(tensor, numbers);
        }
        const VjpError error = step_vjp_error(rig, state, x, g, 2, t);
        CAPTURE(error.input);
        CHECK(error.worst <= 1e-6);
    }
}

TEST_CASE("adafac_mlp: a row's bits depend neither on the rows beside it nor on the batch") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64})
        for (const Shape& shape : {Shape{10}, Shape{5, 7}, Shape{30, 20}}) {
            Rig rig("adafac_mlp", {}, {block("x", shape)}, dtype);
            CHECK(rows_are_apart(rig, 60));
        }
}

TEST_CASE("adafac_mlp: float32 follows float64") {
    const std::vector<l2o::TensorSpec> blocks{block("W", {9, 8})};
    Rig narrow("adafac_mlp", {{"step_mult", "0.1"}}, blocks, Dtype::kF32);
    Rig wide("adafac_mlp", {{"step_mult", "0.1"}}, blocks, Dtype::kF64);
    for (std::size_t i = 0; i < wide.params.size(); ++i) set_values(wide.params[i], values(narrow.params[i]));
    TensorSet x32 = narrow.blocks(1), g32 = narrow.blocks(1), s32 = narrow.state(1);
    TensorSet x64 = wide.blocks(1), g64 = wide.blocks(1), s64 = wide.state(1);
    Numbers got, want;
    for (int t = 0; t < 20; ++t) {
        randomise(g32, 4U + unsigned(t));
        set_values(g64[0], values(g32[0]));
        got = step_once(narrow, s32, x32, g32, 1, t);
        want = step_once(wide, s64, x64, g64, 1, t);
    }
    CHECK(relative_error(got, want) <= 1e-5);
}

TEST_CASE("adafac_mlp: a bad option is answered with what was found and what is expected") {
    try {
        Rig rig("adafac_mlp", {{"hidden", "0"}}, {block("x", {2})});
        FAIL("not refused");
    } catch (const l2o::framework::Error& error) {
        const std::string text = error.what();
        CHECK(text.find("hidden") != std::string::npos);
        CHECK(text.find("0") != std::string::npos);
        CHECK(text.find("1024") != std::string::npos);
    }
}
