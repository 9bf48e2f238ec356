#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "framework/error.hpp"
#include "framework/plugin/call.hpp"
#include "framework/rollout/point.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// An IDX file of bytes: magic number, sizes, content.
Bytes idx(const std::vector<std::uint32_t>& sizes, const Bytes& content) {
    Bytes bytes;
    const auto number = [&](std::uint32_t value) {
        for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
    };
    number(0x0800U + static_cast<std::uint32_t>(sizes.size()));
    for (const std::uint32_t size : sizes) number(size);
    bytes.insert(bytes.end(), content.begin(), content.end());
    return bytes;
}

/// gzip without compression: header, one stored block (RFC 1951, 3.2.4), CRC-32, length.
Bytes gzip(const Bytes& content) {
    Bytes bytes{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1};
    const auto little_endian = [&](std::uint32_t value, int count) {
        for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    };
    const auto size = static_cast<std::uint32_t>(content.size());
    little_endian(size, 2);
    little_endian(~size, 2);
    bytes.insert(bytes.end(), content.begin(), content.end());
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const std::uint8_t byte : content) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
    }
    little_endian(~crc, 4);
    little_endian(size, 4);
    return bytes;
}

constexpr std::uint32_t kTrain = 12, kTest = 8, kRows = 2, kCols = 3, kPixels = kRows * kCols;

/// A folder with a small data set, removed at the end; files may be replaced.
class Folder {
  public:
    Folder() {
        static int count = 0;
        path_ = std::filesystem::temp_directory_path() /
                ("l2o_test_mlp_" + std::to_string(std::random_device{}()) + "_" + std::to_string(count++));
        std::filesystem::create_directories(path_);
        for (std::uint32_t i = 0; i < kTrain * kPixels; ++i)
            train_images.push_back(static_cast<std::uint8_t>(37 * i + 11));
        for (std::uint32_t i = 0; i < kTest * kPixels; ++i)
            test_images.push_back(static_cast<std::uint8_t>(53 * i + 5));
        for (std::uint32_t i = 0; i < kTrain; ++i)
            train_labels.push_back(static_cast<std::uint8_t>((7 * i) % 10));
        test_labels = {3, 1, 3, 4, 3, 9, 0, 2};
        write("train-images-idx3-ubyte", idx({kTrain, kRows, kCols}, train_images));
        write("train-labels-idx1-ubyte", idx({kTrain}, train_labels));
        write("t10k-images-idx3-ubyte", idx({kTest, kRows, kCols}, test_images));
        write("t10k-labels-idx1-ubyte", idx({kTest}, test_labels));
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    void write(const std::string& name, const Bytes& bytes) const {
        std::ofstream file(path_ / name, std::ios::binary);
        file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    void remove(const std::string& name) const { std::filesystem::remove(path_ / name); }
    std::string path() const { return path_.string(); }

    /// A laboratory on this folder.
    ProblemLab lab(OptionText options = {}, std::int64_t instances = 2, Dtype dtype = Dtype::kF64) const {
        options["data"] = path();
        return ProblemLab({.optimizee = "mlp", .options = options, .instances = instances, .dtype = dtype});
    }
    /// The error that a laboratory on this folder ends with.
    std::string message(const OptionText& options = {}) const {
        try {
            lab(options);
        } catch (const l2o::framework::Error& error) {
            return error.what();
        }
        return "no error";
    }

    Bytes train_images, train_labels, test_images, test_labels;

  private:
    std::filesystem::path path_;
};

bool contains(const std::string& text, const std::string& part) {
    CAPTURE(text);
    const bool found = text.find(part) != std::string::npos;
    CHECK(found);
    return found;
}

/// Objective per row on the minibatch that `key` names.
std::vector<double> objective(ProblemLab& lab, std::uint64_t key, const std::vector<Tensor>* x = nullptr) {
    std::vector<const l2o_tensor*> blocks;
    for (const Tensor& tensor : x == nullptr ? lab.x() : *x) blocks.push_back(tensor.abi());
    const auto data = l2o::framework::abi_data(lab.data());
    Tensor f(lab.optimizee().dtype(), {blocks[0]->shape[0]});
    l2o_points points{};
    points.batch = static_cast<std::uint32_t>(blocks[0]->shape[0]);
    points.rows_per_instance = 1;
    points.data = data.data();
    points.x = blocks.data();
    points.batch_key[0] = key;
    const l2o_eval_out out{.f = f.abi(), .g = nullptr};
    l2o::framework::CallContext call;
    call.reserve_scratch(lab.optimizee().info().scratch_fixed);
    call.check(lab.optimizee().api().eval(lab.optimizee().raw(), call.plain(), &points, &out), "eval");
    return values(f);
}

void spread(ProblemLab& lab, double sigma) {
    std::mt19937 bits(3);
    std::normal_distribution<double> normal(0, sigma);
    for (Tensor& tensor : lab.x()) {
        std::vector<double> numbers = values(tensor);
        for (double& number : numbers) number = normal(bits);
        set_values(tensor, numbers);
    }
}

bool has_default_data() {
    const bool found =
        std::filesystem::exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz");
    if (!found)
        MESSAGE("skipped: Fashion-MNIST is missing; install it with: apt-get install dataset-fashion-mnist");
    return found;
}

}  // namespace

TEST_CASE("mlp: at the start nothing is known, so the loss is ln 10 to 0.01") {
    const Folder folder;
    for (const double loss : folder.lab({}, 4).objective()) CHECK(std::abs(loss - std::log(10.0)) <= 0.01);
    if (!has_default_data()) return;
    for (const char* activation : {"sigmoid", "relu", "tanh"}) {
        ProblemLab lab({.optimizee = "mlp", .options = {{"activation", activation}}, .dtype = Dtype::kF32});
        CHECK(lab.data("train_images").shape() == l2o::framework::Shape{60000, 784});
        for (const double loss : lab.objective()) CHECK(std::abs(loss - std::log(10.0)) <= 0.01);
    }
}

TEST_CASE("mlp: the gradient equals central differences for every activation and depth") {
    const Folder folder;
    for (const char* hidden : {"", "4", "5,3"})
        for (const char* activation : {"sigmoid", "relu", "tanh"}) {
            CAPTURE(hidden);
            CAPTURE(activation);
            CHECK(folder.lab({{"hidden", hidden}, {"activation", activation}, {"batch_size", "7"}})
                      .gradient_error() <= 1e-6);
        }
}

TEST_CASE("mlp: the Hessian times a vector equals differences of the gradient") {
    const Folder folder;
    for (const char* activation : {"sigmoid", "tanh"})
        CHECK(folder.lab({{"hidden", "5,3"}, {"activation", activation}, {"batch_size", "7"}}).hvp_error() <=
              1e-6);
}

TEST_CASE("mlp: one key names one minibatch, another key another") {
    const Folder folder;
    ProblemLab lab = folder.lab({{"batch_size", "3"}});
    spread(lab, 1);
    CHECK(objective(lab, 5) == objective(lab, 5));
    CHECK(objective(lab, 5) != objective(lab, 6));
}

TEST_CASE("mlp: the minibatch loss is an unbiased estimate of the loss of the training set") {
    const Folder folder;
    ProblemLab lab = folder.lab({{"batch_size", "4"}}, 1);
    spread(lab, 1);
    constexpr int kKeys = 4000;
    double sum = 0, squares = 0;
    for (int key = 0; key < kKeys; ++key) {
        const double loss = objective(lab, static_cast<std::uint64_t>(key))[0];
        sum += loss;
        squares += loss * loss;
    }
    const double mean = sum / kKeys, sigma = std::sqrt((squares / kKeys - mean * mean) / kKeys);
    CHECK(std::abs(mean - lab.metric("train_loss")[0]) <= 4 * sigma);
}

TEST_CASE("mlp: training sees the training images only, the test metrics the test images only") {
    const Folder folder;
    ProblemLab lab = folder.lab({}, 1);
    spread(lab, 1);
    const auto f = lab.objective(), test = lab.metric("test_loss"), train = lab.metric("train_loss");
    lab.data("test_images").zero();
    CHECK(lab.objective() == f);
    CHECK(lab.metric("train_loss") == train);
    CHECK(lab.metric("test_loss") != test);
    lab = folder.lab({}, 1);
    spread(lab, 1);
    lab.data("train_images").zero();
    CHECK(lab.objective() != f);
    CHECK(lab.metric("test_loss") == test);
}

TEST_CASE("mlp: a network that always answers 3 is right as often as the label is 3") {
    const Folder folder;
    ProblemLab lab = folder.lab({}, 1);
    for (Tensor& tensor : lab.x()) tensor.zero();
    std::vector<double> bias(10, 0.0);
    bias[3] = 2;
    set_values(lab.x()[3], bias);
    CHECK(lab.metric("test_accuracy")[0] == 3.0 / 8);
    CHECK(lab.metric("test_loss")[0] == doctest::Approx(std::log(9 + std::exp(2.0)) - 2 * 3.0 / 8));
}

TEST_CASE("mlp: huge logits neither overflow nor lose the loss") {
    const Folder folder;
    ProblemLab lab = folder.lab({}, 1, Dtype::kF32);
    for (Tensor& tensor : lab.x()) tensor.zero();
    std::vector<double> bias(10, 0.0);
    bias[3] = 1e4;
    set_values(lab.x()[3], bias);
    CHECK(lab.metric("test_loss")[0] == doctest::Approx(1e4 * 5 / 8));
}

TEST_CASE("mlp: the bits of a row do not depend on the rows beside it") {
    const Folder folder;
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        ProblemLab lab = folder.lab({}, 5, dtype);
        spread(lab, 1);
        const std::vector<double> together = objective(lab, 1);
        for (std::int64_t row = 0; row < 5; ++row) {
            std::vector<Tensor> alone;
            for (const Tensor& tensor : lab.x()) alone.push_back(tensor.rows(row, 1));
            CHECK(objective(lab, 1, &alone)[0] == together[static_cast<std::size_t>(row)]);
        }
    }
}

TEST_CASE("mlp: the data tensors are the files, plain or compressed, or the first of their items") {
    const Folder folder;
    const auto bytes = [](Tensor& tensor) {
        const auto span = tensor.values<std::uint8_t>();
        return Bytes(span.begin(), span.end());
    };
    folder.remove("train-images-idx3-ubyte");
    folder.write("train-images-idx3-ubyte.gz", gzip(idx({kTrain, kRows, kCols}, folder.train_images)));
    ProblemLab all = folder.lab();
    CHECK(bytes(all.data("train_images")) == folder.train_images);
    CHECK(bytes(all.data("train_labels")) == folder.train_labels);
    CHECK(bytes(all.data("test_images")) == folder.test_images);
    CHECK(bytes(all.data("test_labels")) == folder.test_labels);
    ProblemLab some = folder.lab({{"train_size", "5"}, {"test_size", "2"}});
    CHECK(bytes(some.data("train_images")) ==
          Bytes(folder.train_images.begin(), folder.train_images.begin() + std::ptrdiff_t{5} * kPixels));
    CHECK(bytes(some.data("test_labels")) == Bytes{3, 1});
}

TEST_CASE("mlp: weights and biases start at N(0, init_std^2), another row at another point") {
    const Folder folder;
    ProblemLab lab = folder.lab({{"hidden", "100"}, {"init_std", "0.5"}});
    const std::vector<double> w = values(lab.x()[0]), b = values(lab.x()[1]);
    for (const auto& numbers : {w, b}) {
        double squares = 0;
        for (const double number : numbers) squares += number * number;
        const double n = double(numbers.size());
        CHECK(std::abs(std::sqrt(squares / n) - 0.5) <= 4 * 0.5 / std::sqrt(2 * n));
    }
    CHECK(w[0] != w[w.size() / 2]);
}

TEST_CASE("mlp: a missing file is named, with what it takes to get it") {
    const Folder folder;
    folder.remove("t10k-labels-idx1-ubyte");
    contains(folder.message(),
             "no file 't10k-labels-idx1-ubyte' or 't10k-labels-idx1-ubyte.gz' in '" + folder.path() +
                 "'; expected the four IDX files of MNIST or Fashion-MNIST");
}

TEST_CASE("mlp: a damaged file is named, with what was found and what was expected") {
    const std::string images = "train-images-idx3-ubyte", labels = "train-labels-idx1-ubyte";
    const Bytes content(std::size_t{kTrain} * kPixels);

    SUBCASE("labels where images belong") {
        const Folder folder;
        folder.write(images, idx({kTrain}, Bytes(kTrain + 20)));
        contains(folder.message(),
                 folder.path() + "/" + images + ": the magic number is 2049; expected 2051");
    }
    SUBCASE("a header cut short") {
        const Folder folder;
        folder.write(images, {0, 0, 8, 3, 0, 0});
        contains(folder.message(), images + ": ends after 6 bytes; expected an IDX header of 16 bytes");
    }
    SUBCASE("an empty file") {
        const Folder folder;
        folder.write(images, {});
        contains(folder.message(), images + ": ends after 0 bytes; expected an IDX header of 16 bytes");
    }
    SUBCASE("sizes that the file cannot hold") {
        const Folder folder;
        folder.write(images, idx({0xFFFFFFFFU, 0xFFFFFFFFU, 0xFFFFFFFFU}, content));
        contains(folder.message(),
                 "4294967295 x 4294967295 x 4294967295 bytes; a file of 88 bytes cannot hold them");
    }
    SUBCASE("compressed sizes that the file cannot hold") {
        const Folder folder;
        folder.write(images, gzip(idx({kTrain, 28000, 28}, content)));
        contains(folder.message(), "12 x 28000 x 28 bytes; a file of 111 bytes cannot hold them");
    }
    SUBCASE("no items") {
        const Folder folder;
        folder.write(images, idx({0, kRows, kCols}, {}));
        contains(folder.message(), images + ": is empty, 0 x 2 x 3 items");
    }
    SUBCASE("compressed content cut short") {
        const Folder folder;
        Bytes bytes = gzip(idx({kTrain, kRows, kCols}, content));
        bytes.resize(bytes.size() - 30);
        folder.write(images, bytes);
        contains(folder.message(), images + ": ");
    }
    SUBCASE("compressed content that was altered") {
        const Folder folder;
        Bytes bytes = gzip(idx({kTrain, kRows, kCols}, content));
        bytes[50] ^= 1;
        folder.write(images, bytes);
        contains(folder.message(), images + ": damaged gzip data");
    }
    SUBCASE("more content than announced") {
        const Folder folder;
        Bytes longer = content;
        longer.push_back(0);
        folder.write(images, idx({kTrain, kRows, kCols}, longer));
        contains(folder.message(), images + ": goes on after the 12 x 2 x 3 bytes that its header announces");
    }
    SUBCASE("as many labels as images") {
        const Folder folder;
        folder.write(labels, idx({kTrain - 1}, Bytes(kTrain - 1)));
        contains(folder.message(), labels + ": 11 labels; expected 12, one for each image of '");
    }
    SUBCASE("a label beyond 9") {
        const Folder folder;
        Bytes wrong = folder.train_labels;
        wrong[5] = 10;
        folder.write(labels, idx({kTrain}, wrong));
        contains(folder.message(), labels + ": label 5 is 10; expected 0 to 9");
    }
    SUBCASE("test images of another size") {
        const Folder folder;
        folder.write("t10k-images-idx3-ubyte",
                     idx({kTest, kCols, kCols}, Bytes(std::size_t{kTest} * kCols * kCols)));
        contains(folder.message(), "t10k-images-idx3-ubyte: images of 9 pixels; expected 6 as in '");
    }
    SUBCASE("a train_size beyond the data") {
        const Folder folder;
        contains(folder.message({{"train_size", "13"}}),
                 "train_size is 13; expected at most 12, the images of '");
    }
}

TEST_CASE("mlp: 300 steps of Adam classify more than half of the test images of Fashion-MNIST") {
    if (!has_default_data()) return;
    Lab lab({.optimizer = "adam",
             .options = {{"learning_rate", "0.01"}},
             .problem = {.optimizee = "mlp",
                         .options = {{"train_size", "10000"}, {"test_size", "2000"}},
                         .instances = 1,
                         .dtype = Dtype::kF32}});
    const Lab::Run run = lab.run(300);
    std::size_t at = 0;
    for (Tensor& tensor : lab.problem().x()) {
        const auto begin = run.x.back().begin() + static_cast<std::ptrdiff_t>(at);
        set_values(tensor, {begin, begin + tensor.size()});
        at += static_cast<std::size_t>(tensor.size());
    }
    CHECK(lab.problem().metric("test_accuracy")[0] > 0.5);
}
