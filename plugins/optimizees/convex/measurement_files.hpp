// Measurement matrices and samples that users bring, in .safetensors files of float32 or float64.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstdint>
#include <l2o/files/safetensors.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <l2o/sdk/view.hpp>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace l2o::plugins {

namespace detail {

/// A tensor of two axes, the second of the given size unless that is 0.
inline const files::StoredTensor& real_matrix(const files::Safetensors& file,
                                              const std::string& name,
                                              const std::string& rows,
                                              std::int64_t cols,
                                              const std::string& what) {
    const std::string expected = "expected " + what + ", float32 or float64 [" + rows + ", " +
                                 (cols > 0 ? std::to_string(cols) : "n") + "]";
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) {
        std::string known;
        for (const auto& entry : file.tensors) known += (known.empty() ? "" : ", ") + entry.first;
        unreadable(file.path + ": there is no tensor '" + name + "'; " + expected +
                   (known.empty() ? "; the file holds no tensors" : "; known: " + known));
    }
    const files::StoredTensor& tensor = found->second;
    const bool is_real = tensor.dtype == L2O_DTYPE_F32 || tensor.dtype == L2O_DTYPE_F64;
    if (!is_real || tensor.shape.size() != 2 || tensor.shape[0] == 0 || tensor.shape[1] == 0 ||
        (cols > 0 && tensor.shape[1] != cols))
        unreadable(file.path + ": tensor '" + name + "' is " + files::type_name(tensor.dtype) + " " +
                   files::shape_text(tensor.shape) + "; " + expected);
    return tensor;
}

/// An element of a file that is a number of T.
template <class T>
double finite_in(
    const std::string& path, const std::string& name, std::int64_t row, std::int64_t col, double value) {
    if (std::isfinite(static_cast<T>(value))) return value;
    unreadable(path + ": tensor '" + name + "' [" + std::to_string(row) + ", " + std::to_string(col) +
               "] is " +
               (std::isfinite(value) ? "beyond the range of float32; set dtype to float64, or scale it"
                                     : "not finite; expected numbers"));
}

}  // namespace detail

/// Tensor `A` of a file, for computations in T.
/// @throw Failure L2O_STATUS_IO that names the file and what is wrong with it.
template <class T>
Eigen::MatrixXd read_matrix(const std::string& path) {
    const files::Safetensors file = files::read_safetensors(path);
    const files::StoredTensor& stored = detail::real_matrix(file, "A", "m", 0, "the measurement matrix");
    Eigen::MatrixXd a(stored.shape[0], stored.shape[1]);
    for (Eigen::Index i = 0; i < a.rows(); ++i)
        for (Eigen::Index j = 0; j < a.cols(); ++j)
            a(i, j) = detail::finite_in<T>(path, "A", i, j, stored.real(i * a.cols() + j));
    if (a.cwiseAbs().maxCoeff() > 0 && a.cast<T>().isZero(0))
        unreadable(path + ": no entry of tensor 'A' is large enough for float32; set dtype to float64");
    return a;
}

/// The instances of a file: `train.b`, `validation.b`, `test.b` of shape [count, m], and what belongs to them
/// by other names, `train.x_star` [count, n]. What is absent is missed when it is asked for.
/// Every pass of a training takes the rows in an order of its own, that of the key and the number of the
/// pass: instance i is row order(key, i / count)[i % count], whatever was drawn before.
class SampleFile {
  public:
    explicit SampleFile(const std::string& path) : file_(files::read_safetensors(path)) {}

    /// Writes the rows of a draw. Training goes round the file, shuffled; of the other splits, whose
    /// instances are counted as independent, none is given twice.
    template <class T>
    void read(const Draw& draw, const std::string& name, const View<T>& to) const {
        constexpr const char* kSplits[] = {"train", "validation", "test"};
        const std::string split = kSplits[draw.split];
        const files::StoredTensor& stored = detail::real_matrix(
            file_, split + "." + name, "count", to.cols, "a row for each instance of this split");
        const auto count = static_cast<std::uint64_t>(stored.shape[0]);
        const std::uint64_t end = draw.first + static_cast<std::uint64_t>(draw.count);
        if (draw.split != L2O_SPLIT_TRAIN && end > count)
            invalid(file_.path + ": tensor '" + split + "." + name + "' has " + std::to_string(count) +
                    " rows, and " + std::to_string(end) + " instances are asked for; expected at most " +
                    std::to_string(count) + ", set " +
                    (draw.split == L2O_SPLIT_TEST ? "evaluate.instances" : "train.validate.instances"));
        if (draw.split == L2O_SPLIT_TRAIN && name != "b" && file_.tensors.contains("train.b") &&
            detail::real_matrix(file_, "train.b", "count", 0, "measurements").shape[0] != stored.shape[0])
            unreadable(file_.path + ": tensor 'train." + name + "' has " + std::to_string(count) +
                       " rows; expected as many as 'train.b' has");
        std::shared_ptr<const Order> order;
        for (std::int64_t r = 0; r < draw.count; ++r) {
            const std::uint64_t instance = draw.first + static_cast<std::uint64_t>(r);
            const std::uint64_t pass = instance / count;
            if (draw.split == L2O_SPLIT_TRAIN && (!order || order->pass != pass))
                order = order_of({draw.call.key[0], draw.call.key[1]}, pass, count);
            const auto row =
                static_cast<std::int64_t>(order ? order->rows[instance % count] : instance % count);
            for (std::int64_t c = 0; c < to.cols; ++c)
                to(r, c) = static_cast<T>(detail::finite_in<T>(
                    file_.path, split + "." + name, row, c, stored.real(row * to.cols + c)));
        }
    }

  private:
    /// The rows of a pass.
    struct Order {
        numerics::Key key;
        std::uint64_t pass;
        std::vector<std::uint64_t> rows;
    };
    [[nodiscard]] std::shared_ptr<const Order> order_of(const numerics::Key& key,
                                                        std::uint64_t pass,
                                                        std::uint64_t count) const {
        const std::lock_guard lock(mutex_);
        if (last_ && last_->key == key && last_->pass == pass && last_->rows.size() == count) return last_;
        constexpr std::uint32_t kPurpose = 0x8001;  // beside that of drawn matrices
        auto order = std::make_shared<Order>(Order{key, pass, std::vector<std::uint64_t>(count)});
        std::iota(order->rows.begin(), order->rows.end(), std::uint64_t{0});
        numerics::Stream draws(key, pass, kPurpose);
        // Fisher & Yates, in the form of Durstenfeld 1964, algorithm 235.
        for (std::uint64_t i = count - 1; i > 0; --i)
            std::swap(order->rows[i], order->rows[draws.below(i + 1)]);
        return last_ = std::move(order);
    }

    files::Safetensors file_;
    mutable std::mutex mutex_;
    mutable std::shared_ptr<const Order> last_;
};

}  // namespace l2o::plugins
