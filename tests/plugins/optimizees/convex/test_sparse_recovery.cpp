#include <doctest/doctest.h>

#include <Eigen/SVD>
#include <cmath>
#include <set>
#include <utility>

#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/plugins/matrix.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::test;
using l2o::framework::Key;
using l2o::framework::ProblemData;
using l2o::framework::Split;

const OptionText kSmall{{"m", "20"}, {"n", "40"}, {"init_std", "1"}};

std::vector<double> draw(
    const ProblemLab& lab, const char* name, Split split, std::uint64_t first, int count) {
    const ProblemData data = lab.optimizee().sample({5, 6}, split, first, count, true);
    return values(data.tensors.at(lab.optimizee().data_index(name).value()));
}

Tensor tensor_of(const Eigen::MatrixXd& matrix, Dtype dtype = Dtype::kF64) {
    Tensor tensor(Dtype::kF64, {matrix.rows(), matrix.cols()});
    for (Eigen::Index i = 0; i < matrix.rows(); ++i)
        for (Eigen::Index j = 0; j < matrix.cols(); ++j)
            tensor.values<double>()[std::size_t(i * matrix.cols() + j)] = matrix(i, j);
    return tensor.to(dtype);
}

/// A matrix of 3 x 5 and instances of it: 4 to train, 2 to validate, 3 to test.
class UserFiles {
  public:
    UserFiles() {
        a << 1, 0, 0, 0.6, 0,  //
            0, 1, 0, 0.8, 0,   //
            0, 0, 1, 0, -1;
        write("a", a);
        const Tensor train_b = tensor_of(ramp(4, 3), Dtype::kF32), train_x = tensor_of(ramp(4, 5)),
                     validation_b = tensor_of(ramp(2, 3)), validation_x = tensor_of(ramp(2, 5)),
                     test_b = tensor_of(ramp(3, 3));
        l2o::framework::write_safetensors(folder / "data",
                                          {{"train.b", &train_b},
                                           {"train.x_star", &train_x},
                                           {"validation.b", &validation_b},
                                           {"validation.x_star", &validation_x},
                                           {"test.b", &test_b}});
    }
    /// 0.5, 1.5, ... row by row.
    static Eigen::MatrixXd ramp(Eigen::Index rows, Eigen::Index cols) {
        return Eigen::MatrixXd::NullaryExpr(
            rows, cols, [=](Eigen::Index i, Eigen::Index j) { return double(i * cols + j) + 0.5; });
    }
    void write(const char* name, const Eigen::MatrixXd& matrix, Dtype dtype = Dtype::kF64) const {
        const Tensor stored = tensor_of(matrix, dtype);
        l2o::framework::write_safetensors(folder / name, {{"A", &stored}});
    }
    std::string path(const char* name) const { return (folder / name).string(); }
    ProblemLab lab(OptionText options, std::int64_t instances = 4) const {
        return ProblemLab(
            {.optimizee = "sparse_recovery", .options = std::move(options), .instances = instances});
    }
    std::string refused(const OptionText& options) const {
        return refusal([&] { (void)lab(options); });
    }

    ScratchFolder folder;
    Eigen::MatrixXd a{3, 5};
};

}  // namespace

TEST_CASE("sparse_recovery: A has columns of norm 1, x_star one entry in ten, and b = A x_star") {
    ProblemLab lab({.optimizee = "sparse_recovery", .instances = 64});
    const Eigen::MatrixXd a = matrix(lab.data("A")), b = matrix(lab.data("b")),
                          x = matrix(lab.data("x_star"));
    REQUIRE((a.rows() == 256 && a.cols() == 512));
    for (Eigen::Index j = 0; j < 512; ++j) CHECK(a.col(j).norm() == doctest::Approx(1).epsilon(1e-12));
    CHECK((b - x * a.transpose()).cwiseAbs().maxCoeff() < 1e-13);
    const double non_zero = double((x.array() != 0).count());
    CHECK(non_zero / double(x.size()) == doctest::Approx(0.1).epsilon(0.05));
    CHECK(x.squaredNorm() / non_zero == doctest::Approx(1).epsilon(0.08));  // N(0, 1)
}

TEST_CASE("sparse_recovery: snr_db 20 is measured as 20 dB in every instance, to the scatter of 256 draws") {
    ProblemLab clean({.optimizee = "sparse_recovery", .instances = 32});
    ProblemLab noisy({.optimizee = "sparse_recovery", .options = {{"snr_db", "20"}}, .instances = 32});
    const Eigen::MatrixXd signal = matrix(clean.data("b")), noise = matrix(noisy.data("b")) - signal;
    CHECK(values(clean.data("x_star")) == values(noisy.data("x_star")));
    double sum = 0;
    for (Eigen::Index r = 0; r < 32; ++r) {
        const double snr = 20 * std::log10(signal.row(r).norm() / noise.row(r).norm());
        CHECK(snr == doctest::Approx(20).epsilon(0.1));
        sum += snr;
    }
    CHECK(sum / 32 == doctest::Approx(20).epsilon(0.01));
    CHECK((noise.row(0) / noise.row(0).norm() - noise.row(1) / noise.row(1).norm()).norm() > 0.5);
}

TEST_CASE("sparse_recovery: instances depend on key, split and index alone; A on the key alone") {
    const ProblemLab lab(
        {.optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}, {"snr_db", "10"}}});
    for (const char* name : {"b", "x_star"}) {
        auto halves = draw(lab, name, Split::kTrain, 0, 8);
        const auto second = draw(lab, name, Split::kTrain, 8, 8);
        halves.insert(halves.end(), second.begin(), second.end());
        CHECK(halves == draw(lab, name, Split::kTrain, 0, 16));
        CHECK(halves != draw(lab, name, Split::kTest, 0, 16));
    }
    CHECK(draw(lab, "A", Split::kTrain, 0, 2) == draw(lab, "A", Split::kTest, 9, 1));
    const ProblemData no_answers = lab.optimizee().sample({5, 6}, Split::kTrain, 0, 4, false);
    CHECK(values(no_answers.tensors[1]) == draw(lab, "b", Split::kTrain, 0, 4));
}

TEST_CASE("sparse_recovery: float32 instances are the float64 instances, rounded") {
    ProblemLab wide({.optimizee = "sparse_recovery", .options = kSmall});
    ProblemLab narrow({.optimizee = "sparse_recovery", .options = kSmall, .dtype = Dtype::kF32});
    for (const char* name : {"A", "b", "lambda", "x_star"})
        for (std::int64_t i = 0; i < wide.data(name).size(); ++i)
            CHECK(narrow.data(name).value(i) == float(wide.data(name).value(i)));
}

TEST_CASE("sparse_recovery: f is 1/2 ||Ax - b||^2 + lambda ||x||_1 and starts at 1/2 ||b||^2") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    const Eigen::MatrixXd a = matrix(lab.data("A")), b = matrix(lab.data("b")), x = matrix(lab.x()[0]);
    const auto f = lab.objective();
    for (Eigen::Index r = 0; r < 4; ++r) {
        const double want = (a * x.row(r).transpose() - b.row(r).transpose()).squaredNorm() / 2 +
                            0.1 * x.row(r).cwiseAbs().sum();
        CHECK(f[std::size_t(r)] == doctest::Approx(want).epsilon(1e-13));
    }
    ProblemLab at_zero({.optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}}});
    const auto start = at_zero.objective();
    for (Eigen::Index r = 0; r < 4; ++r)
        CHECK(start[std::size_t(r)] == doctest::Approx(b.row(r).squaredNorm() / 2).epsilon(1e-13));
}

TEST_CASE("sparse_recovery: gradient and Hessian product equal central differences where f is smooth") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    CHECK(lab.gradient_error() < 1e-6);
    CHECK(lab.hvp_error() < 1e-6);
}

TEST_CASE("sparse_recovery: at 0 the gradient is that of the smooth part, A^T (Ax - b)") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "40"}}});
    const Eigen::MatrixXd want = -matrix(lab.data("b")) * matrix(lab.data("A"));
    const auto g = lab.gradient()[0];
    for (Eigen::Index r = 0; r < 4; ++r)
        for (Eigen::Index i = 0; i < 40; ++i)
            CHECK(g[std::size_t(40 * r + i)] == doctest::Approx(want(r, i)).epsilon(1e-12));
}

TEST_CASE("sparse_recovery: the proximal point u of x satisfies x - u in tau lambda d||u||_1") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    const double tau = 4, weight = tau * 0.1;
    const auto u = lab.prox(tau)[0], x = values(lab.x()[0]);
    int zeros = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
        if (u[i] == 0) {
            CHECK(std::abs(x[i]) <= weight);
            ++zeros;
        } else {
            CHECK(x[i] - u[i] == doctest::Approx(std::copysign(weight, u[i])).epsilon(1e-12));
        }
    }
    CHECK(zeros > 0);
    CHECK(zeros < int(u.size()));
}

TEST_CASE("sparse_recovery: several points of one instance are evaluated like copies of the instance") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall, .instances = 3});
    const auto& optimizee = lab.optimizee();
    ProblemData copies = l2o::framework::repeat(lab.data(), optimizee, 2);
    const auto x = optimizee.init_point({8, 8}, 0, copies);
    const auto evaluate = [&](const ProblemData& data, std::uint32_t rows_per_instance) {
        const auto in = l2o::framework::abi_data(data);
        const l2o_tensor* point = x[0].abi();
        Tensor f(Dtype::kF64, {6}), g(Dtype::kF64, {6, 40});
        l2o_tensor* gradient = g.abi();
        l2o_points points{};
        points.batch = 6;
        points.rows_per_instance = rows_per_instance;
        points.data = in.data(), points.x = &point;
        const l2o_eval_out out{.f = f.abi(), .g = &gradient};
        l2o::framework::CallContext call;
        call.reserve_scratch(6 * optimizee.info().scratch_per_row);
        call.check(optimizee.api().eval(optimizee.raw(), call.plain(), &points, &out), "eval");
        return std::pair(values(f), values(g));
    };
    CHECK(evaluate(lab.data(), 2) == evaluate(copies, 1));
}

TEST_CASE("sparse_recovery: nmse_pooled_db is ||x - x_star||^2 over ||x_star||^2") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = kSmall});
    const Eigen::MatrixXd x = matrix(lab.x()[0]), x_star = matrix(lab.data("x_star"));
    const auto ratio = lab.metric("nmse_pooled_db");
    REQUIRE(ratio.size() == 8);
    for (Eigen::Index r = 0; r < 4; ++r) {
        const double error = (x.row(r) - x_star.row(r)).squaredNorm();
        CHECK(ratio[std::size_t(2 * r)] == doctest::Approx(error).epsilon(1e-13));
        CHECK(ratio[std::size_t(2 * r + 1)] == doctest::Approx(x_star.row(r).squaredNorm()).epsilon(1e-13));
    }
}

TEST_CASE(
    "sparse_recovery: nmse_db is 0 at x = 0 and at most about -90 at x_star; a signal of 0 gives 0 dB") {
    ProblemLab lab({.optimizee = "sparse_recovery", .options = {{"m", "6"}, {"n", "10"}}, .instances = 12});
    for (const double nmse : lab.metric("nmse_db")) CHECK(std::abs(nmse) < 1e-12);
    const Eigen::MatrixXd x_star = matrix(lab.data("x_star"));
    set_values(lab.x()[0], values(lab.data("x_star")));
    const auto nmse = lab.metric("nmse_db");
    int zero_signals = 0;
    for (Eigen::Index r = 0; r < 12; ++r) {
        const double power = x_star.row(r).squaredNorm() / 10;
        CHECK(nmse[std::size_t(r)] ==
              doctest::Approx(10 * std::log10(1e-10 / (power + 1e-10))).epsilon(1e-12));
        zero_signals += power == 0;
    }
    CHECK(zero_signals > 0);
    auto tenth = values(lab.data("x_star"));
    for (double& x : tenth) x *= 1.1;
    set_values(lab.x()[0], tenth);
    CHECK(lab.metric("nmse_db")[0] == doctest::Approx(x_star.row(0).norm() > 0 ? -20 : 0).epsilon(1e-6));
}

TEST_CASE("sparse_recovery: condition_number spreads the singular values evenly in their logarithm") {
    const auto drawn = [](const char* m, const char* n, const char* condition) {
        ProblemLab lab({.optimizee = "sparse_recovery",
                        .options = {{"m", m}, {"n", n}, {"condition_number", condition}},
                        .instances = 1});
        return matrix(lab.data("A"));
    };
    for (const auto& [m, n] : {std::pair("20", "40"), std::pair("40", "20")}) {
        const auto& which = m;
        CAPTURE(which);
        const Eigen::MatrixXd plain = drawn(m, n, "0"), spread = drawn(m, n, "1000");
        CHECK((spread.colwise().norm().array() - 1).abs().maxCoeff() < 1e-12);
        CHECK(plain == drawn(m, n, "1"));
        // The scaling of the columns, which differ little, moves the singular values a little.
        const Eigen::VectorXd s = Eigen::JacobiSVD<Eigen::MatrixXd>(spread).singularValues();
        const double condition = s(0) / s(19);
        CHECK(condition > 500);
        CHECK(condition < 2000);
        CHECK(s(9) / s(0) == doctest::Approx(std::pow(1000, -9.0 / 19)).epsilon(0.3));
    }
}

TEST_CASE("sparse_recovery: a user's matrix is taken as it is, or with its columns scaled") {
    const UserFiles files;
    ProblemLab lab = files.lab({{"matrix", files.path("a")}}, 64);
    CHECK(matrix(lab.data("A")) == files.a);
    const Eigen::MatrixXd b = matrix(lab.data("b")), x = matrix(lab.data("x_star"));
    CHECK((b - x * files.a.transpose()).cwiseAbs().maxCoeff() < 1e-14);
    CHECK((x.array() != 0).any());

    files.write("twice", 2 * files.a, Dtype::kF32);
    ProblemLab scaled = files.lab({{"matrix", files.path("twice")}});
    CHECK((matrix(scaled.data("A")) - files.a).cwiseAbs().maxCoeff() < 1e-7);
    ProblemLab raw =
        files.lab({{"matrix", files.path("twice")}, {"normalize", "false"}, {"m", "3"}, {"n", "5"}});
    CHECK((matrix(raw.data("A")) - 2 * files.a).cwiseAbs().maxCoeff() < 1e-7);
}

TEST_CASE("sparse_recovery: a matrix that cannot be used is refused with its file") {
    const UserFiles files;
    const std::string path = files.path("a");
    CHECK(files.refused({{"matrix", files.path("none")}})
              .ends_with(files.path("none") +
                         ": cannot open: No such file or directory; check the path and its permissions"));
    CHECK(files.refused({{"matrix", files.path("data")}})
              .ends_with(": there is no tensor 'A'; expected the measurement matrix, float32 or float64 [m, "
                         "n]; known: "
                         "test.b, train.b, train.x_star, validation.b, validation.x_star"));
    CHECK(files.refused({{"matrix", path}, {"m", "4"}})
              .ends_with("m is 4; expected 3, the rows of A in '" + path + "', or nothing"));
    CHECK(files.refused({{"matrix", path}, {"n", "4"}})
              .ends_with("n is 4; expected 5, the columns of A in '" + path + "', or nothing"));
    CHECK(files.refused({{"matrix", path}, {"condition_number", "10"}})
              .ends_with("condition_number shapes a matrix that is drawn; leave it out beside 'matrix'"));
    CHECK(files.refused({{"condition_number", "0.5"}})
              .ends_with("condition_number is 0.500000; expected 0 or at least 1"));
    CHECK(files.refused({{"normalize", "false"}})
              .ends_with("normalize is about a matrix from a file; set the option 'matrix'"));

    Eigen::MatrixXd bad = files.a;
    bad.col(3).setZero();
    files.write("zero", bad);
    CHECK(files.refused({{"matrix", files.path("zero")}})
              .ends_with(
                  files.path("zero") +
                  ": column 3 of A is zero; expected columns that can be scaled, or set normalize to false"));
    bad(1, 3) = NAN;
    files.write("nan", bad);
    CHECK(files.refused({{"matrix", files.path("nan")}}).ends_with("is not finite; expected numbers"));
    Tensor line(Dtype::kF64, {6}), whole(Dtype::kI32, {2, 3});
    l2o::framework::write_safetensors(files.folder / "line", {{"A", &line}});
    l2o::framework::write_safetensors(files.folder / "whole", {{"A", &whole}});
    CHECK(files.refused({{"matrix", files.path("line")}})
              .ends_with(
                  "tensor 'A' is float64 [6]; expected the measurement matrix, float32 or float64 [m, n]"));
    CHECK(files.refused({{"matrix", files.path("whole")}}).find("tensor 'A' is int32 [2, 3]") !=
          std::string::npos);
}

TEST_CASE(
    "sparse_recovery: a user's instances are the rows of the split, and training goes round them, shuffled") {
    const UserFiles files;
    const OptionText options{{"matrix", files.path("a")}, {"data", files.path("data")}};
    const ProblemLab lab = files.lab(options, 2);
    const auto rows = [](const Eigen::MatrixXd& all, std::initializer_list<Eigen::Index> numbers) {
        std::vector<double> out;
        for (const Eigen::Index r : numbers)
            for (Eigen::Index c = 0; c < all.cols(); ++c) out.push_back(all(r, c));
        return out;
    };
    // In every pass each row once, the measurements with their signal, whatever is drawn at once.
    const std::vector<double> b = draw(lab, "b", Split::kTrain, 0, 400),
                              x = draw(lab, "x_star", Split::kTrain, 0, 400);
    std::set<std::vector<std::size_t>> orders;
    for (std::size_t pass = 0; pass < 100; ++pass) {
        std::vector<std::size_t> order;
        for (std::size_t r = 4 * pass; r < 4 * pass + 4; ++r) {
            const auto row = static_cast<std::size_t>((b[3 * r] - 0.5) / 3);
            CHECK(x[5 * r] == UserFiles::ramp(4, 5)(static_cast<Eigen::Index>(row), 0));
            order.push_back(row);
        }
        orders.insert(order);
        CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == 4);
    }
    CHECK(orders.size() >= 20);  // of 24
    const std::vector<double> part = draw(lab, "b", Split::kTrain, 190, 7);
    CHECK(part == std::vector<double>(b.begin() + 570, b.begin() + 591));
    CHECK(draw(lab, "b", Split::kTrain, 0, 400) == b);
    const ProblemData other = lab.optimizee().sample({5, 7}, Split::kTrain, 0, 400, false);
    CHECK(values(other.tensors[lab.optimizee().data_index("b").value()]) != b);
    CHECK(draw(lab, "b", Split::kValidation, 0, 2) == rows(UserFiles::ramp(2, 3), {0, 1}));
    const ProblemData test = lab.optimizee().sample({5, 6}, Split::kTest, 1, 2, false);
    CHECK(values(test.tensors[lab.optimizee().data_index("b").value()]) ==
          rows(UserFiles::ramp(3, 3), {1, 2}));
}

TEST_CASE("sparse_recovery: instances that are not there, or not of this matrix, are refused") {
    const UserFiles files;
    const std::string path = files.path("data");
    const OptionText options{{"matrix", files.path("a")}, {"data", path}};
    const ProblemLab lab = files.lab(options);
    const auto refused_draw = [&](Split split, std::uint64_t first, std::int64_t count) {
        return refusal([&] { (void)lab.optimizee().sample({5, 6}, split, first, count, true); });
    };
    CHECK(refused_draw(Split::kValidation, 1, 2)
              .ends_with(
                  path +
                  ": tensor 'validation.b' has 2 rows, and 3 instances are asked for; expected at most 2, "
                  "set train.validate.instances"));
    CHECK(refused_draw(Split::kTest, 0, 4).ends_with("expected at most 3, set evaluate.instances"));
    CHECK(
        refused_draw(Split::kTest, 0, 3)
            .ends_with(
                path +
                ": there is no tensor 'test.x_star'; expected a row for each instance of this split, float32 "
                "or float64 [count, 5]; known: test.b, train.b, train.x_star, validation.b, "
                "validation.x_star"));

    CHECK(files.refused({{"data", path}})
              .ends_with("data has no matrix; set the option 'matrix' to the file with its A"));
    OptionText noisy = options;
    noisy["snr_db"] = "20";
    CHECK(files.refused(noisy).ends_with(
        "snr_db adds noise to instances that are drawn; leave it out beside 'data'"));
    files.write("twice", 2 * files.a);
    CHECK(files.refused({{"matrix", files.path("twice")}, {"data", path}})
              .ends_with(
                  "have norms from 2.000000 to 2.000000, and the instances of 'data' are of A as it is; set "
                  "normalize to false"));
    files.write("wide", Eigen::MatrixXd::Identity(4, 5).colwise() + Eigen::Vector4d::Ones());
    const ProblemLab wide = files.lab({{"matrix", files.path("wide")}});
    CHECK(files.refused({{"matrix", files.path("wide")}, {"normalize", "false"}, {"data", path}})
              .ends_with("tensor 'train.b' is float32 [4, 3]; expected a row for each instance of this "
                         "split, float32 or "
                         "float64 [count, 4]"));
}

TEST_CASE("sparse_recovery: rows that are no numbers of the precision are refused with their place") {
    UserFiles files;
    const auto refused = [&](const std::vector<double>& b, Dtype dtype) {
        Tensor train_b(Dtype::kF64, {2, 3});
        set_values(train_b, b);
        const Tensor train_x = tensor_of(UserFiles::ramp(2, 5));
        l2o::framework::write_safetensors(files.folder / "own",
                                          {{"train.b", &train_b}, {"train.x_star", &train_x}});
        return refusal([&] {
            (void)ProblemLab({.optimizee = "sparse_recovery",
                              .options = {{"matrix", files.path("a")}, {"data", files.path("own")}},
                              .instances = 2,
                              .dtype = dtype});
        });
    };
    CHECK(refused({1, 2, 3, 4, NAN, 6}, Dtype::kF64)
              .ends_with("tensor 'train.b' [1, 1] is not finite; expected numbers"));
    CHECK(refused({1, 2, 1e40, 4, 5, 6}, Dtype::kF32)
              .ends_with(
                  "tensor 'train.b' [0, 2] is beyond the range of float32; set dtype to float64, or scale "
                  "it"));
    CHECK(refused({1, 2, 1e40, 4, 5, 6}, Dtype::kF64) == "no error");
    files.write("tiny", 1e-60 * files.a);
    CHECK(refusal([&] {
              (void)ProblemLab({.optimizee = "sparse_recovery",
                                .options = {{"matrix", files.path("tiny")}, {"normalize", "false"}},
                                .dtype = Dtype::kF32});
          }).ends_with("no entry of tensor 'A' is large enough for float32; set dtype to float64"));
    CHECK(files.refused({{"matrix", files.path("tiny")}}) == "no error");  // its columns are scaled
}
