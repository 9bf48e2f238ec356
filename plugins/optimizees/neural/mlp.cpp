// Softmax cross-entropy of a multilayer perceptron on Fashion-MNIST or MNIST: the neural-network task of
// Andrychowicz et al. 2016 (arXiv:1606.04474v2), section 3.2, and of the survey's figure 8. With the layers
// a_0 = pixels / 255, a_l = activation(a_{l-1} W_l + b_l), logits = a_{L-1} W_L + b_L, and p =
// softmax(logits),
//   f = mean over the minibatch of -log p[label],   df/dlogits = (p - onehot(label)) / batch.
// The gradient is written by hand on LibTorch's kernels: at this size recording a tape would cost more than
// the arithmetic.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <l2o/sdk/scratch.hpp>
#include <l2o/torch/tensor.hpp>
#include <span>
#include <string>
#include <vector>

#include "idx.hpp"

namespace {

using l2o::neural::IdxFile;

constexpr std::int64_t kClasses = 10;
constexpr const char* kDefaultFolder = "/usr/share/datasets/fashion-mnist";
/// train_loss is taken on the first of the training images.
constexpr std::int64_t kTrainLossImages = 2000;
/// Images per forward pass of the metrics, at least.
constexpr std::int64_t kMetricBatch = 256;

enum class Activation { kSigmoid, kRelu, kTanh };
/// The files, and the data tensors that hold them.
enum Content : std::size_t { kTrainImages, kTrainLabels, kTestImages, kTestLabels };

class Mlp {
  public:
    static constexpr l2o::About about{
        .id = "mlp",
        .version = "1.0.0",
        .title = "Softmax classifier: a multilayer perceptron on Fashion-MNIST or MNIST",
        .doc =
            "Mean softmax cross-entropy of a minibatch, drawn uniformly with replacement; pixels are divided "
            "by 255, weights and biases start at N(0, init_std^2). The networks of the survey's figure 8 are "
            "hidden 20 with activation sigmoid (training) and relu (test). Data: the four IDX files of "
            "Debian's package dataset-fashion-mnist, or MNIST in the same format",
        .runtime = l2o::th::kRuntime};
    static constexpr const char* tags[] = {"neural", "stochastic"};

    static l2o::Options<Mlp> options() {
        l2o::Options<Mlp> o;
        o.path("data", &Mlp::folder_, "folder with the four IDX files, plain or .gz");
        o.integers("hidden",
                   &Mlp::hidden_,
                   "sizes of the hidden layers; empty: softmax regression",
                   l2o::at_least(1));
        o.choice("activation", &Mlp::activation_, {"sigmoid", "relu", "tanh"}, "of the hidden layers");
        o.integer("batch_size", &Mlp::batch_size_, "images per minibatch", l2o::between(1, 1 << 20));
        o.real("init_std",
               &Mlp::init_std_,
               "standard deviation of weights and biases at the start",
               l2o::kNonNegative);
        o.integer(
            "train_size", &Mlp::train_size_, "use only the first training images; 0: all", l2o::at_least(0));
        o.integer("test_size", &Mlp::test_size_, "use only the first test images; 0: all", l2o::at_least(0));
        return o;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        open("train", "train_size", train_size_, &files_[kTrainImages]);
        open("t10k", "test_size", test_size_, &files_[kTestImages]);
        const std::int64_t pixels = files_[kTrainImages].item_bytes();
        if (files_[kTestImages].item_bytes() != pixels)
            l2o::unreadable(files_[kTestImages].path + ": images of " +
                            std::to_string(files_[kTestImages].item_bytes()) + " pixels; expected " +
                            std::to_string(pixels) + " as in '" + files_[kTrainImages].path + "'");

        widths_ = {pixels};
        widths_.insert(widths_.end(), hidden_.begin(), hidden_.end());
        widths_.push_back(kClasses);
        for (std::size_t l = 0; l < layers(); ++l) {
            const std::string number = std::to_string(l + 1);
            spec.block({.name = "W" + number,
                        .doc = "weights",
                        .axes = "in,out",
                        .shape = {widths_[l], widths_[l + 1]},
                        .layer = static_cast<std::int32_t>(l)});
            spec.block({.name = "b" + number,
                        .doc = "biases",
                        .axes = "out",
                        .shape = {widths_[l + 1]},
                        .layer = static_cast<std::int32_t>(l)});
        }
        const auto bytes = [&](const char* name, const char* doc, l2o::Shape shape) {
            return spec.data<std::uint8_t>({.name = name, .doc = doc, .shape = std::move(shape)});
        };
        data_ = {bytes("train_images", "grey values, 0 to 255", {train_size_, pixels}),
                 bytes("train_labels", "classes, 0 to 9", {train_size_}),
                 bytes("test_images", "grey values, 0 to 255", {test_size_, pixels}),
                 bytes("test_labels", "classes, 0 to 9", {test_size_})};
        test_accuracy_ = spec.metric("test_accuracy",
                                     "fraction of the test images that are classified right",
                                     L2O_SPEC_HIGHER_IS_BETTER);
        test_loss_ = spec.metric("test_loss", "mean cross-entropy of the test images");
        train_loss_ = spec.metric(
            "train_loss", "mean cross-entropy of the first 2000 training images (of all, if they are fewer)");
        spec.flag(L2O_FLAG_STOCHASTIC);
        spec.scratch([&](l2o::Scratch& scratch, std::int64_t, auto scalar) {
            Images<decltype(scalar)>(scratch, std::max(batch_size_, kMetricBatch), pixels);
        });
    }

    /// Tensors that the host has already are NULL: the files are read once, not for every batch of starts.
    template <class T>
    void sample(const l2o::Draw&, const l2o::DataOut<T>& data) const {
        for (std::size_t i = 0; i < 4; ++i) {
            const l2o::View<std::uint8_t> to = data[data_[i]];
            if (!to) continue;
            const std::span content(to.data, static_cast<std::size_t>(to.rows * to.cols));
            l2o::neural::read_idx(files_[i], to.rows, content);
            if (i == kTrainLabels || i == kTestLabels) check_labels(files_[i], content);
        }
    }

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (std::uint32_t k = 0; k < 2 * layers(); ++k)
            if (x[k])
                l2o::numerics::fill_rows(x[k], call.key, call.row0, k, [this](l2o::numerics::Stream& random) {
                    return init_std_ * random.normal();
                });
    }

    /// All rows see the minibatch that batch_key names, so that particles and starts are compared on the same
    /// images, and so that it is gathered once.
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        l2o::th::use_threads(in.call);
        const c10::InferenceMode no_tape;
        l2o::Scratch scratch(in.call);
        const Images<T> batch = minibatch(in, scratch);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const std::vector<at::Tensor> a = forward(in, row, batch.tensor());
            double loss = 0;
            softmax_cross_entropy(a.back().data_ptr<T>(), batch, &loss, nullptr);
            if (out.f()) out.f()[row] = static_cast<T>(loss / double(batch.count));
            backward(in, row, a, out);
        }
    }

    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        l2o::th::use_threads(in.call);
        const at::AutoGradMode tape(true);
        l2o::Scratch scratch(in.call);
        const Images<T> batch = minibatch(in, scratch);
        const at::Tensor labels = at::empty({batch.count}, at::kLong);
        std::copy_n(batch.labels, batch.count, labels.data_ptr<std::int64_t>());
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            std::vector<at::Tensor> x, v;
            for (std::size_t k = 0; k < 2 * layers(); ++k) {
                x.push_back(block(in.x(k).row(row), k).requires_grad_(true));
                v.push_back(v_of[k] ? block(v_of[k].row(row), k) : at::zeros_like(x.back()));
            }
            at::Tensor a = batch.tensor();
            for (std::size_t l = 0; l < layers(); ++l) {
                a = at::addmm(x[2 * l + 1], a, x[2 * l]);
                if (l + 1 < layers()) a = activate(a);
            }
            const at::Tensor f = at::cross_entropy_loss(a, labels);
            const auto g = torch::autograd::grad({f}, x, {}, /*retain_graph=*/true, /*create_graph=*/true);
            const auto hv = torch::autograd::grad(g, x, v);
            for (std::size_t k = 0; k < 2 * layers(); ++k)
                if (hv_of[k]) block(hv_of[k].row(row), k).copy_(hv[k]);
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        l2o::th::use_threads(in.call);
        const c10::InferenceMode no_tape;
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            if (out[test_accuracy_] || out[test_loss_]) {
                const Score test = score(in, row, kTestImages, test_size_);
                if (out[test_accuracy_]) out[test_accuracy_][row] = static_cast<T>(test.accuracy);
                if (out[test_loss_]) out[test_loss_][row] = static_cast<T>(test.loss);
            }
            if (out[train_loss_])
                out[train_loss_][row] = static_cast<T>(
                    score(in, row, kTrainImages, std::min(train_size_, kTrainLossImages)).loss);
        }
    }

  private:
    struct Score {
        double accuracy, loss;
    };

    /// Some images as numbers in [0, 1], with their labels, in scratch memory.
    template <class T>
    struct Images {
        std::int64_t count, pixels;
        T* values;
        std::uint8_t* labels;

        Images(l2o::Scratch& scratch, std::int64_t images, std::int64_t pixels_per_image)
            : count(images),
              pixels(pixels_per_image),
              values(scratch.take<T>(images * pixels_per_image)),
              labels(scratch.take<std::uint8_t>(images)) {}

        void set(std::int64_t i, const std::uint8_t* image, std::uint8_t label) const {
            T* to = values + i * pixels;
            for (std::int64_t c = 0; c < pixels; ++c) to[c] = static_cast<T>(image[c]) * (T(1) / T(255));
            labels[i] = label;
        }
        [[nodiscard]] at::Tensor tensor() const { return l2o::th::tensor(values, {count, pixels}); }
    };

    [[nodiscard]] std::size_t layers() const { return widths_.size() - 1; }

    /// Opens images and labels of one half; fixes `size`, an option by the name of `key`.
    void open(const std::string& half, const std::string& key, std::int64_t& size, IdxFile* files) const {
        const std::string hint = folder_ == kDefaultFolder
                                     ? "; install the data with: apt-get install dataset-fashion-mnist"
                                     : "; expected the four IDX files of MNIST or Fashion-MNIST";
        files[0] = l2o::neural::open_idx(folder_, half + "-images-idx3-ubyte", 3, hint);
        files[1] = l2o::neural::open_idx(folder_, half + "-labels-idx1-ubyte", 1, hint);
        if (files[1].items() != files[0].items())
            l2o::unreadable(files[1].path + ": " + std::to_string(files[1].items()) + " labels; expected " +
                            std::to_string(files[0].items()) + ", one for each image of '" + files[0].path +
                            "'");
        if (size > files[0].items())
            l2o::invalid(key + " is " + std::to_string(size) + "; expected at most " +
                         std::to_string(files[0].items()) + ", the images of '" + files[0].path + "'");
        if (size == 0) size = files[0].items();
    }

    static void check_labels(const IdxFile& file, std::span<const std::uint8_t> labels) {
        for (std::size_t i = 0; i < labels.size(); ++i)
            if (labels[i] >= kClasses)
                l2o::unreadable(file.path + ": label " + std::to_string(i) + " is " +
                                std::to_string(labels[i]) + "; expected 0 to 9");
    }

    template <class T>
    [[nodiscard]] Images<T> minibatch(const l2o::EvalIn<T>& in, l2o::Scratch& scratch) const {
        const auto images = in.data(data_[kTrainImages]);
        const auto labels = in.data(data_[kTrainLabels]);
        const Images<T> batch(scratch, batch_size_, images.cols);
        l2o::numerics::Stream random(in.raw().batch_key, 0);
        for (std::int64_t i = 0; i < batch_size_; ++i) {
            const auto drawn =
                static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(images.rows)));
            batch.set(i, images.row(drawn), labels[drawn]);
        }
        return batch;
    }

    /// Memory of block k of one row: W [in, out] or b [out].
    template <class T>
    [[nodiscard]] at::Tensor block(T* data, std::size_t k) const {
        const std::int64_t out = widths_[k / 2 + 1];
        return k % 2 == 0 ? l2o::th::tensor(data, {widths_[k / 2], out}) : l2o::th::tensor(data, {out});
    }
    template <class T>
    [[nodiscard]] at::Tensor x_block(const l2o::EvalIn<T>& in, std::int64_t row, std::size_t k) const {
        return block(in.x(k).row(row), k);
    }

    [[nodiscard]] at::Tensor activate(const at::Tensor& z) const {
        switch (activation_) {
            case Activation::kRelu:
                return at::relu(z);
            case Activation::kTanh:
                return at::tanh(z);
            case Activation::kSigmoid:
                break;
        }
        return at::sigmoid(z);
    }
    /// da * activation'(z), from a = activation(z).
    [[nodiscard]] at::Tensor activate_vjp(const at::Tensor& da, const at::Tensor& a) const {
        switch (activation_) {
            case Activation::kRelu:
                return at::threshold_backward(da, a, 0);
            case Activation::kTanh:
                return at::tanh_backward(da, a);
            case Activation::kSigmoid:
                break;
        }
        return at::sigmoid_backward(da, a);
    }

    /// a_0 ... a_{L-1} and the logits.
    template <class T>
    [[nodiscard]] std::vector<at::Tensor> forward(const l2o::EvalIn<T>& in,
                                                  std::int64_t row,
                                                  const at::Tensor& images) const {
        std::vector<at::Tensor> a{images};
        for (std::size_t l = 0; l < layers(); ++l) {
            const at::Tensor z = at::addmm(x_block(in, row, 2 * l + 1), a.back(), x_block(in, row, 2 * l));
            a.push_back(l + 1 < layers() ? activate(z) : z);
        }
        return a;
    }

    /// Adds the losses of the images and the number of right answers; replaces the logits by their cotangent
    /// (p - onehot) / count.
    template <class T>
    static void softmax_cross_entropy(T* logits, const Images<T>& images, double* loss, std::int64_t* right) {
        for (std::int64_t i = 0; i < images.count; ++i, logits += kClasses) {
            const std::int64_t best = std::max_element(logits, logits + kClasses) - logits;
            const T top = logits[best];
            const T answer = logits[images.labels[i]];
            T sum = 0;
            for (std::int64_t c = 0; c < kClasses; ++c) sum += logits[c] = std::exp(logits[c] - top);
            *loss += std::log(double(sum)) - double(answer - top);
            if (right != nullptr) *right += best == images.labels[i] ? 1 : 0;
            const T scale = T(1) / (sum * T(images.count));
            for (std::int64_t c = 0; c < kClasses; ++c) logits[c] *= scale;
            logits[images.labels[i]] -= T(1) / T(images.count);
        }
    }

    /// @param a  as forward() gave them, the logits replaced by their cotangent.
    template <class T>
    void backward(const l2o::EvalIn<T>& in,
                  std::int64_t row,
                  const std::vector<at::Tensor>& a,
                  const l2o::EvalOut<T>& out) const {
        std::size_t lowest = layers();  // no layer below has a gradient that is wanted
        for (std::size_t l = layers(); l-- > 0;)
            if (out.g(2 * l) || out.g(2 * l + 1)) lowest = l;
        at::Tensor dz = a.back();
        for (std::size_t l = layers(); l-- > lowest;) {
            if (const auto g = out.g(2 * l)) {
                at::Tensor to = block(g.row(row), 2 * l);
                at::mm_out(to, a[l].t(), dz);
            }
            if (const auto g = out.g(2 * l + 1)) {
                at::Tensor to = block(g.row(row), 2 * l + 1);
                at::sum_out(to, dz, 0);
            }
            if (l > lowest) dz = activate_vjp(at::mm(dz, x_block(in, row, 2 * l).t()), a[l]);
        }
    }

    /// Loss and accuracy on the first `count` images.
    template <class T>
    [[nodiscard]] Score score(const l2o::EvalIn<T>& in,
                              std::int64_t row,
                              std::size_t which,
                              std::int64_t count) const {
        const auto images = in.data(data_[which]);
        const auto labels = in.data(data_[which + 1]);
        double loss = 0;
        std::int64_t right = 0;
        for (std::int64_t first = 0; first < count;) {
            l2o::Scratch scratch(in.call);
            const Images<T> batch(
                scratch, std::min(std::max(batch_size_, kMetricBatch), count - first), images.cols);
            for (std::int64_t i = 0; i < batch.count; ++i)
                batch.set(i, images.row(first + i), labels[first + i]);
            const at::Tensor logits = forward(in, row, batch.tensor()).back();
            softmax_cross_entropy(logits.data_ptr<T>(), batch, &loss, &right);
            first += batch.count;
        }
        return {double(right) / double(count), loss / double(count)};
    }

    std::string folder_ = kDefaultFolder;
    std::vector<std::int64_t> hidden_ = {20};
    Activation activation_ = Activation::kSigmoid;
    std::int64_t batch_size_ = 128;
    double init_std_ = 0.01;
    std::int64_t train_size_ = 0, test_size_ = 0;

    std::vector<std::int64_t> widths_;  ///< of all layers, from the pixels to the classes
    IdxFile files_[4];
    std::array<l2o::DataOf<std::uint8_t>, 4> data_;
    l2o::Metric test_accuracy_, test_loss_, train_loss_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Mlp>)
