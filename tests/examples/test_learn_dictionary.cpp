#include <doctest/doctest.h>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <string>
#include <vector>

#include "examples/paper/learn_dictionary/dictionary.hpp"
#include "examples/paper/learn_dictionary/images.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/program.hpp"

using namespace l2o::dictionary;
using l2o::test::contains;
using l2o::test::refusal;

namespace {

Matrix gaussian(Eigen::Index rows, Eigen::Index cols, std::uint64_t seed) {
    l2o::numerics::Stream draws({seed, 7}, 0);
    return Matrix::NullaryExpr(rows, cols, [&] { return draws.normal(); });
}

/// Codes with `nonzeros` entries N(0, 1) in each row.
Matrix sparse_codes(Eigen::Index rows, Eigen::Index cols, int nonzeros) {
    Matrix x = Matrix::Zero(rows, cols);
    for (Eigen::Index r = 0; r < rows; ++r) {
        l2o::numerics::Stream draws({1, 2}, static_cast<std::uint64_t>(r));
        for (int k = 0; k < nonzeros; ++k)
            x(r, static_cast<Eigen::Index>(draws.below(static_cast<std::uint64_t>(cols)))) = draws.normal();
    }
    return x;
}

double objective(const Matrix& y, const Matrix& x, const Matrix& d, double lambda) {
    return (x * d - y).squaredNorm() / 2 + lambda * x.lpNorm<1>();
}

/// Grey values of an image.
using Bytes = std::vector<std::uint8_t>;

void write_pgm(const std::filesystem::path& path, const Bytes& bytes, int width, int height) {
    std::ofstream file(path, std::ios::binary);
    file << "P5\n# a comment\n" << width << " " << height << "\n255\n";
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void write_png(const std::filesystem::path& path, const Bytes& bytes, unsigned width, unsigned height) {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = width;
    png.height = height;
    png.format = PNG_FORMAT_GRAY;
    REQUIRE(png_image_write_to_file(&png, path.c_str(), 0, bytes.data(), 0, nullptr) != 0);
}

/// 40 x 30 pixels of smooth waves and noise.
Bytes some_image(std::uint64_t seed) {
    l2o::numerics::Stream draws({seed, 3}, 0);
    const double a = draws.normal(), b = draws.normal();
    Bytes bytes;
    for (int i = 0; i < 30; ++i)
        for (int j = 0; j < 40; ++j)
            bytes.push_back(
                static_cast<std::uint8_t>(128 + 60 * std::sin(a * i + b * j) + 40 * draws.uniform()));
    return bytes;
}

void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("dictionary: the first step is the paper's two updates, and the objective is what it says") {
    const Matrix y = gaussian(50, 9, 1), d = random_atoms(12, 9, 2);
    constexpr double kLambda = 0.3;
    DictionaryLearning learning(y, d, kLambda);
    CHECK(learning.objective() == doctest::Approx(y.squaredNorm() / 2).epsilon(1e-14));
    learning.step();

    const auto norm = [](const Matrix& square) {  // of a symmetric matrix, by many products
        Eigen::VectorXd v = Eigen::VectorXd::Ones(square.rows());
        for (int i = 0; i < 3000; ++i) v = (square * v).normalized();
        return v.dot(square * v);
    };
    const double l_x = norm(d * d.transpose());
    Matrix x = y * d.transpose() / l_x;
    x = x.unaryExpr([&](double z) { return std::copysign(std::max(std::abs(z) - kLambda / l_x, 0.0), z); });
    CHECK((learning.codes() - x).cwiseAbs().maxCoeff() < 1e-12);
    const double l_d = norm(x.transpose() * x);
    Matrix want = d - x.transpose() * (x * d - y) / l_d;
    want.rowwise().normalize();
    CHECK((learning.atoms() - want).cwiseAbs().maxCoeff() < 1e-12);

    for (int k = 0; k < 30; ++k) learning.step();
    const double direct = objective(y, learning.codes(), learning.atoms(), kLambda);
    CHECK(learning.objective() == doctest::Approx(direct).epsilon(1e-12));
    CHECK(learning.nonzeros_per_patch() == double((learning.codes().array() != 0).count()) / 50);
}

TEST_CASE("dictionary: the objective never rises, atoms keep norm 1, and planted ones are found again") {
    const Matrix planted = random_atoms(24, 16, 5);
    const Matrix y = sparse_codes(2000, 24, 2) * planted;
    DictionaryLearning learning(y, random_atoms(24, 16, 6), 0.05);
    const auto found = [&] {
        const Matrix overlaps = (planted * learning.atoms().transpose()).cwiseAbs();
        return (overlaps.rowwise().maxCoeff().array() > 0.99).count();
    };
    CHECK(found() == 0);
    const double start = learning.objective();
    for (int k = 0; k < 300; ++k) {
        const double before = learning.objective();
        learning.step();
        CHECK(learning.objective() <= before);
    }
    CHECK(learning.objective() < 0.5 * start);
    CHECK((learning.atoms().rowwise().norm().array() - 1).abs().maxCoeff() < 1e-14);
    CHECK(learning.atoms().rowwise().sum().cwiseAbs().maxCoeff() <
          1e-12);  // as the patches, which have no mean
    CHECK(found() >= 16);
}

TEST_CASE("images: a PNG and a PGM of the same pixels are the same image") {
    const ScratchFolder folder;
    const Bytes bytes{0, 51, 102, 153, 204, 255};
    write_pgm(folder / "a.pgm", bytes, 3, 2);
    write_png(folder / "a.png", bytes, 3, 2);
    const Image pgm = read_image(folder / "a.pgm");
    REQUIRE((pgm.rows() == 2 && pgm.cols() == 3));
    CHECK(pgm(0, 1) == doctest::Approx(0.2).epsilon(1e-15));
    CHECK(pgm(1, 2) == 1);
    CHECK(read_image(folder / "a.png") == pgm);
}

TEST_CASE("images: patches are places of the images without their means, and of mean square norm 1") {
    const ScratchFolder folder;
    Bytes ramp(static_cast<std::size_t>(20 * 10));
    for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<std::uint8_t>(i);
    write_pgm(folder / "ramp.pgm", ramp, 20, 10);
    const Matrix one = sample_patches(read_images(folder / "", 4), 4, 30, 1);
    for (Eigen::Index r = 0; r < 30; ++r) {  // neighbours differ by 1, rows by 20: everywhere the same patch
        CHECK(std::abs(one.row(r).sum()) < 1e-12);
        CHECK((one.row(r) - one.row(0)).norm() < 1e-12);
        CHECK((one(r, 4) - one(r, 0)) / (one(r, 1) - one(r, 0)) == doctest::Approx(20).epsilon(1e-9));
    }
    write_pgm(folder / "noise.pgm", some_image(1), 40, 30);
    const auto images = read_images(folder / "", 4);
    REQUIRE(images.size() == 2);
    const Matrix patches = sample_patches(images, 4, 500, 1);
    CHECK(patches.squaredNorm() / 500 == doctest::Approx(1).epsilon(1e-12));
    CHECK(patches == sample_patches(images, 4, 500, 1));
    CHECK((patches - sample_patches(images, 4, 500, 2)).norm() > 1);
    CHECK(patches.topRows(10).isApprox(sample_patches(images, 4, 10, 1) * patches(0, 0) /
                                       sample_patches(images, 4, 10, 1)(0, 0)));
}

TEST_CASE("images: what cannot be used is refused with its name and what was expected") {
    const ScratchFolder folder;
    const std::string at = (folder / "").string();
    const auto refused = [&](std::int64_t side = 2) {
        return refusal([&] { (void)read_images(folder / "", side); });
    };
    CHECK(refused() == "5 " + at + ": holds no .png and no .pgm file; expected a folder with images");
    CHECK(refusal([&] { (void)read_images(folder / "none", 2); }) ==
          "5 " + at + "none: No such file or directory; expected a folder with images");
    write(folder / "a.png", "no image");
    CHECK(contains(refused(), at + "a.png: "));
    CHECK(refused().ends_with("; expected a PNG image"));
    std::filesystem::remove(folder / "a.png");
    write(folder / "a.pgm", "P2 2 2 255 1 2 3 4");
    CHECK(refused() ==
          "5 " + at + "a.pgm: the header is not that of a binary PGM file (P5) with values up to 255");
    write(folder / "a.pgm", "P5 60000 60000 255\n1");
    CHECK(refused() == "5 " + at + "a.pgm: ends early; expected 3600000000 pixels");
    write(folder / "a.pgm", "P5 2 2 255\n123");
    CHECK(refused() == "5 " + at + "a.pgm: ends early; expected 4 pixels");
    write(folder / "a.pgm", "P5 3 2 255\n123456");
    CHECK(refused(3) == "5 " + at + "a.pgm: is 3 x 2 pixels; expected at least 3 x 3, the size of a patch");
    write(folder / "a.pgm", "P5 3 2 255\n      ");
    CHECK(refusal([&] { (void)sample_patches(read_images(folder / "", 2), 2, 5, 1); }) ==
          "2 all patches are constant; expected natural images");
}

TEST_CASE("learn_dictionary: writes a matrix of unit columns that depends on the seed alone") {
    const ScratchFolder folder;
    for (int i = 0; i < 3; ++i)
        write_png(
            folder / ("image" + std::to_string(i) + ".png").c_str(), some_image(std::uint64_t(i)), 40, 30);
    const auto run = [&](const std::string& more) {
        return l2o::test::run_program(
            folder, L2O_LEARN_DICTIONARY, "--images . --patch 4 --atoms 20 --patches 300 " + more);
    };
    const l2o::test::Outcome first = run("--iterations 30 --output a");
    CAPTURE(first.err);
    REQUIRE(first.code == 0);
    CHECK(contains(first.out, "3 images, 300 patches of 4 x 4, 20 atoms, lambda 0.1\n"));
    CHECK(contains(first.out, "\n       30   "));
    CHECK(contains(first.out, "A [16, 20]: rank 15, condition number "));
    CHECK(contains(first.out, "methods with an analytic weight need a ridge > 0\n"));
    const auto a = l2o::framework::read_safetensors(folder / "a");
    REQUIRE(a.at("A").shape() == l2o::framework::Shape{16, 20});
    const Eigen::Map<const Matrix> matrix(a.at("A").values<double>().data(), 16, 20);
    CHECK((matrix.colwise().norm().array() - 1).abs().maxCoeff() < 1e-14);
    Matrix cross = matrix.transpose() * matrix;
    cross.diagonal().setZero();
    CHECK(std::stod(a.metadata.at("coherence")) ==
          doctest::Approx(cross.cwiseAbs().maxCoeff()).epsilon(1e-12));
    CHECK(a.metadata.at("iterations") == "30");
    CHECK(a.metadata.at("lambda") == "0.1");
    CHECK(a.metadata.at("seed") == "1");
    CHECK(std::stod(a.metadata.at("objective")) < 0.5);

    const auto bytes = [&](const char* name) {
        std::ifstream file(folder / name, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    CHECK(run("--iterations 30 --output b").code == 0);
    CHECK(bytes("a") == bytes("b"));
    CHECK(run("--iterations 30 --output c --seed 2").code == 0);
    CHECK(bytes("a") != bytes("c"));
}

TEST_CASE("learn_dictionary: an interrupt writes what there is") {
    const ScratchFolder folder;
    write_png(folder / "image.png", some_image(1), 40, 30);
    const l2o::test::Outcome stopped = l2o::test::run_until(
        folder,
        L2O_LEARN_DICTIONARY,
        "--images . --patch 4 --atoms 20 --patches 300 --iterations 1000000000000 --output a",
        [&](pid_t) { return l2o::test::has_printed(folder, "\n       20  "); });
    CHECK(stopped.code == 130);
    CHECK(contains(stopped.out, "\nwritten: a\n"));
    const auto file = l2o::framework::read_safetensors(folder / "a");
    CHECK(file.at("A").shape() == l2o::framework::Shape{16, 20});
    CHECK(std::stoll(file.metadata.at("iterations")) >= 20);
}

TEST_CASE("learn_dictionary: --help says what it does; a wrong command line is refused") {
    const ScratchFolder folder;
    const auto run = [&](const std::string& arguments) {
        return l2o::test::run_program(folder, L2O_LEARN_DICTIONARY, arguments);
    };
    const l2o::test::Outcome help = run("--help");
    CHECK(help.code == 0);
    for (const char* text : {"--images FOLDER", "--lambda L (=0.1)", "min over A, X", "Ctrl-C"})
        CHECK(contains(help.out, text));
    const std::string see = "; see 'learn_dictionary --help'\n";
    CHECK(run("").refusal() == "2 learn_dictionary: error: --images is missing; expected a folder" + see);
    CHECK(run("--images .").refusal() ==
          "2 learn_dictionary: error: --output is missing; expected a file name" + see);
    CHECK(run("--images . --output a --lambda 0").refusal() ==
          "2 learn_dictionary: error: --lambda is 0; expected a number > 0" + see);
    CHECK(run("--images . --output a --atoms 0").refusal() ==
          "2 learn_dictionary: error: --atoms is 0; expected at least 1" + see);
    CHECK(contains(run("--image .").refusal(), "2 learn_dictionary: error: "));
    CHECK(contains(run("--images . --output none/a").refusal(),
                   "5 learn_dictionary: error: none/a: cannot create a temporary file beside it: No such "
                   "file or directory; "));
    CHECK(
        contains(run("--images none --output a").refusal(), "5 learn_dictionary: error: none: No such file"));
}
