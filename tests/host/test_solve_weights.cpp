// Random weights through `l2o solve --weights`, layer by layer against the equations of the papers.
#include <doctest/doctest.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <functional>
#include <l2o/numerics/philox.hpp>
#include <map>
#include <string>
#include <vector>

#include "framework/store/safetensors.hpp"
#include "tests/host/command.hpp"
#include "tests/plugins/optimizers/unrolled/by_hand.hpp"

using namespace l2o::framework;
using l2o::test::bar_by_hand, l2o::test::layer_param, l2o::test::run_l2o, l2o::test::soft_by_hand;
using Matrix = Eigen::MatrixXd;

namespace {

constexpr int kLayers = 5;
constexpr Eigen::Index kM = 20, kN = 40, kBatch = 6;

/// A lasso problem and random weights for it, as files of one precision; x_0 .. x_5 as the program has them.
class Case {
  public:
    Case(std::string optimizer, Dtype dtype) : optimizer_(std::move(optimizer)), dtype_(dtype) {
        a = normal(kM, kN, 1);
        for (Eigen::Index j = 0; j < kN; ++j) a.col(j).normalize();
        a = rounded(a);
        b = rounded(normal(kBatch, kM, 0.5));
    }
    /// A new parameter with entries scale * N(0, 1), with rows = 0 as a scalar, with cols = 0 as a vector.
    Matrix random(
        const std::string& name, Eigen::Index rows, Eigen::Index cols, double scale, double mean = 0) {
        Matrix values = normal(std::max<Eigen::Index>(rows, 1), std::max<Eigen::Index>(cols, 1), scale);
        values = rounded((values.array() + mean).matrix());
        add(weights_, name, values, rows == 0 ? Shape{} : cols == 0 ? Shape{rows} : Shape{rows, cols});
        return values;
    }
    double number(const std::string& name, double scale, double mean) {
        return random(name, 0, 0, scale, mean)(0, 0);
    }
    /// Runs the program, and @return x_0 .. x_5.
    std::vector<Matrix> solve() {
        std::map<std::string, Tensor> problem;
        add(problem, "A", a, {kM, kN});
        add(problem, "b", b, {kBatch, kM});
        const ScratchFolder folder;
        write(folder / "p.safetensors",
              problem,
              {{"l2o.optimizee", "lasso"}, {"l2o.options", R"({"lambda": 0.1})"}});
        write(folder / "w.safetensors",
              weights_,
              {{"l2o.format", "1"}, {"l2o.optimizer", optimizer_}, {"l2o.options", R"({"layers": 5})"}});
        REQUIRE(run_l2o(folder,
                        "solve --optimizer " + optimizer_ +
                            " --weights w.safetensors --problem p.safetensors --output x.safetensors "
                            "--trajectory --quiet")
                    .refusal() == "0 ");
        const Tensor x = read_safetensors(folder / "x.safetensors").at("x_trajectory").clone();
        std::vector<Matrix> points(kLayers + 1, Matrix(kBatch, kN));
        for (Eigen::Index i = 0; i < x.size(); ++i)
            points[std::size_t(i / (kBatch * kN))](i / kN % kBatch, i % kN) = x.value(i);
        return points;
    }

    Matrix a, b;

  private:
    static void write(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
        TensorRefs refs;
        for (const auto& [name, tensor] : tensors) refs[name] = &tensor;
        write_safetensors(path, refs, metadata);
    }
    void add(std::map<std::string, Tensor>& to,
             const std::string& name,
             const Matrix& values,
             Shape shape) const {
        Tensor tensor(dtype_, std::move(shape));
        for (Eigen::Index i = 0; i < values.size(); ++i) {
            const double value = values(i / values.cols(), i % values.cols());
            if (dtype_ == Dtype::kF32) tensor.values<float>()[std::size_t(i)] = float(value);
            if (dtype_ == Dtype::kF64) tensor.values<double>()[std::size_t(i)] = value;
        }
        to.insert_or_assign(name, std::move(tensor));
    }
    Matrix normal(Eigen::Index rows, Eigen::Index cols, double scale) {
        return Matrix::NullaryExpr(rows, cols, [&] { return scale * random_.normal(); });
    }
    [[nodiscard]] Matrix rounded(const Matrix& values) const {
        return dtype_ == Dtype::kF32 ? Matrix(values.cast<float>().cast<double>()) : values;
    }

    std::string optimizer_;
    Dtype dtype_;
    std::map<std::string, Tensor> weights_;
    l2o::numerics::Stream random_{l2o::numerics::Key{8, 0}, 0};
};

Matrix soft(const Matrix& z, double theta) {
    return z.unaryExpr([theta](double z_i) { return soft_by_hand(z_i, theta); });
}
/// @param selected  1 where an entry is left alone, written.
Matrix soft_with_support(const Matrix& z, double theta, int k, Matrix& selected) {
    Matrix x = soft(z, theta);
    selected = Matrix::Zero(z.rows(), z.cols());
    for (Eigen::Index r = 0; r < z.rows(); ++r) {
        const double bar = std::max(bar_by_hand(z.row(r), std::min(1.2 * (k + 1), 13.0)), theta);
        for (Eigen::Index i = 0; i < z.cols(); ++i)
            if (std::abs(z(r, i)) > bar) x(r, i) = z(r, i), selected(r, i) = 1;
    }
    return x;
}

/// layer(k, x_0 .. x_k): x_{k+1} of the equations at the program's own points.
using Layer = std::function<Matrix(int, const std::vector<Matrix>&)>;
/// A method: makes random weights, and @return its layer.
using Method = std::function<Layer(Case&)>;

void check_layers(const std::string& optimizer, const Method& method) {
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
        CAPTURE(optimizer);
        CAPTURE(name_of(dtype));
        Case one(optimizer, dtype);
        const Layer layer = method(one);
        const std::vector<Matrix> x = one.solve();
        CHECK(x[0].isZero(0));
        for (int k = 0; k < kLayers; ++k) {
            const Matrix want = layer(k, x);
            REQUIRE(want.norm() > 0.01);
            const double error = (x[std::size_t(k) + 1] - want).norm() / want.norm();
            CHECK(error < (dtype == Dtype::kF64 ? 1e-11 : 1e-5));
        }
    }
}

Layer coupled(Case& c, bool has_support) {
    std::vector<Matrix> w;
    std::vector<double> theta;
    for (int k = 0; k < kLayers; ++k) {
        w.push_back(c.random(layer_param(k, "W"), kM, kN, 0.15));
        theta.push_back(c.number(layer_param(k, "theta"), 0.01, 0.1));
    }
    return [=, &c](int k, const std::vector<Matrix>& x) {
        const auto& x_k = x[std::size_t(k)];
        const Matrix z = x_k + (c.b - x_k * c.a.transpose()) * w[std::size_t(k)];
        Matrix selected;
        return has_support ? soft_with_support(z, theta[std::size_t(k)], k, selected)
                           : soft(z, theta[std::size_t(k)]);
    };
}

}  // namespace

TEST_CASE("lista: x <- S(b B' + x S_k', theta_k)") {
    check_layers("lista", [](Case& c) -> Layer {
        const Matrix b = c.random("shared.B", kN, kM, 0.15);
        std::vector<Matrix> s(1);
        std::vector<double> theta;
        for (int k = 0; k < kLayers; ++k) {
            if (k > 0) s.push_back(c.random(layer_param(k, "S"), kN, kN, 0.1));
            theta.push_back(c.number(layer_param(k, "theta"), 0.01, 0.1));
        }
        return [=, &c](int k, const std::vector<Matrix>& x) -> Matrix {
            Matrix z = c.b * b.transpose();
            if (k > 0) z += x[std::size_t(k)] * s[std::size_t(k)].transpose();
            return soft(z, theta[std::size_t(k)]);
        };
    });
}

TEST_CASE("lista_cp: x <- S(x + (b - x A') W_k, theta_k)") {
    check_layers("lista_cp", [](Case& c) { return coupled(c, false); });
}

TEST_CASE("lista_cpss: the largest entries are left alone") {
    check_layers("lista_cpss", [](Case& c) { return coupled(c, true); });
}

TEST_CASE("alista: x <- SS(x + gamma_k (b - x A') W, theta_k), W = (A A')^-1 A with w_j . a_j = 1") {
    check_layers("alista", [](Case& c) -> Layer {
        Matrix w = (c.a * c.a.transpose()).ldlt().solve(c.a);
        for (Eigen::Index j = 0; j < kN; ++j) w.col(j) /= w.col(j).dot(c.a.col(j));
        std::vector<double> gamma, theta;
        for (int k = 0; k < kLayers; ++k) {
            gamma.push_back(c.number(layer_param(k, "gamma"), 0.1, 0.8));
            theta.push_back(c.number(layer_param(k, "theta"), 0.01, 0.1));
        }
        return [=, &c](int k, const std::vector<Matrix>& x) {
            const auto& x_k = x[std::size_t(k)];
            Matrix selected;
            return soft_with_support(x_k + gamma[std::size_t(k)] * (c.b - x_k * c.a.transpose()) * w,
                                     theta[std::size_t(k)],
                                     k,
                                     selected);
        };
    });
}

TEST_CASE("lfista: x <- S(b We' + x_k Wg_k' + x_{k-1} Wm_k', theta_k)") {
    check_layers("lfista", [](Case& c) -> Layer {
        const Matrix we = c.random("shared.We", kN, kM, 0.15);
        std::vector<Matrix> wg(1), wm(1);
        std::vector<double> theta;
        for (int k = 0; k < kLayers; ++k) {
            if (k > 0) {
                wg.push_back(c.random(layer_param(k, "Wg"), kN, kN, 0.1));
                wm.push_back(c.random(layer_param(k, "Wm"), kN, kN, 0.05));
            }
            theta.push_back(c.number(layer_param(k, "theta"), 0.01, 0.1));
        }
        return [=, &c](int k, const std::vector<Matrix>& x) -> Matrix {
            Matrix z = c.b * we.transpose();
            if (k > 0) z += x[std::size_t(k)] * wg[std::size_t(k)].transpose();
            if (k > 1) z += x[std::size_t(k) - 1] * wm[std::size_t(k)].transpose();
            return soft(z, theta[std::size_t(k)]);
        };
    });
}

TEST_CASE("lamp: x <- S(x + v_k W_k, lambda_k |v_k| / sqrt m), v_k = b - x A' + |x|_0 / m v_{k-1}") {
    check_layers("lamp", [](Case& c) -> Layer {
        std::vector<Matrix> w;
        std::vector<double> lambda;
        for (int k = 0; k < kLayers; ++k) {
            w.push_back(c.random(layer_param(k, "W"), kM, kN, 0.15));
            lambda.push_back(c.number(layer_param(k, "lam"), 0.1, 1.2));
        }
        return [=, &c, v = Matrix(Matrix::Zero(kBatch, kM))](int k,
                                                             const std::vector<Matrix>& x) mutable -> Matrix {
            const auto& x_k = x[std::size_t(k)];
            Matrix next(kBatch, kN);
            for (Eigen::Index r = 0; r < kBatch; ++r) {
                const double onsager = double((x_k.row(r).array() != 0).count()) / double(kM);
                v.row(r) = c.b.row(r) - x_k.row(r) * c.a.transpose() + onsager * v.row(r).eval();
                const double sigma = std::sqrt(v.row(r).squaredNorm() / double(kM) + 1e-12);
                next.row(r) = soft(x_k.row(r) + v.row(r) * w[std::size_t(k)], lambda[std::size_t(k)] * sigma);
            }
            return next;
        };
    });
}

TEST_CASE("glista: gain gates before, overshoot gates after a layer of LISTA-CPSS") {
    check_layers("glista", [](Case& c) -> Layer {
        std::vector<Matrix> w, d;
        std::vector<double> theta, gain, overshoot;
        for (int k = 0; k < kLayers; ++k) {
            w.push_back(c.random(layer_param(k, "W"), kM, kN, 0.15));
            theta.push_back(c.number(layer_param(k, "theta"), 0.01, 0.1));
            gain.push_back(c.number(layer_param(k, "a"), 0.1, 0.3));
            overshoot.push_back(c.number(layer_param(k, "ao"), 0.1, -0.3));
            d.push_back(c.random(layer_param(k, "D"), kN, 0, 0.2, 1));
        }
        return [=, &c, selected = Matrix(Matrix::Zero(kBatch, kN))](
                   int k, const std::vector<Matrix>& x) mutable -> Matrix {
            const auto at = std::size_t(k);
            Matrix u = x[at];
            for (Eigen::Index r = 0; r < kBatch; ++r)
                for (Eigen::Index i = 0; i < kN; ++i)
                    u(r, i) *=
                        1 + gain[at] * std::max(0.0, 1 - std::max(0.0, d[at](i, 0) * std::abs(u(r, i))));
            const Matrix before = selected;
            const Matrix tilde =
                soft_with_support(u + (c.b - u * c.a.transpose()) * w[at], theta[at], k, selected);
            Matrix next = x[at];
            for (Eigen::Index r = 0; r < kBatch; ++r)
                for (Eigen::Index i = 0; i < kN; ++i) {
                    const double way = tilde(r, i) - x[at](r, i);
                    next(r, i) +=
                        (1 - overshoot[at] * theta[at] * (1 - before(r, i)) / (std::abs(way) + 0.1)) * way;
                }
            return next;
        };
    });
}
