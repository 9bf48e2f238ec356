// Measurement matrices and samples that users bring, in .safetensors files of float32 or float64.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <l2o/files/safetensors.hpp>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <l2o/sdk/view.hpp>
#include <string>

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
    const bool is_real = tensor.dtype == L2O_F32 || tensor.dtype == L2O_F64;
    if (!is_real || tensor.shape.size() != 2 || tensor.shape[0] == 0 || tensor.shape[1] == 0 ||
        (cols > 0 && tensor.shape[1] != cols))
        unreadable(file.path + ": tensor '" + name + "' is " + files::type_name(tensor.dtype) + " " +
                   files::shape_text(tensor.shape) + "; " + expected);
    return tensor;
}

}  // namespace detail

/// Tensor `A` of a file.
/// @throw Failure L2O_IO that names the file and what is wrong with it.
inline Eigen::MatrixXd read_matrix(const std::string& path) {
    const files::Safetensors file = files::read_safetensors(path);
    const files::StoredTensor& stored = detail::real_matrix(file, "A", "m", 0, "the measurement matrix");
    Eigen::MatrixXd a(stored.shape[0], stored.shape[1]);
    for (Eigen::Index i = 0; i < a.rows(); ++i)
        for (Eigen::Index j = 0; j < a.cols(); ++j) a(i, j) = stored.real(i * a.cols() + j);
    if (!a.allFinite()) unreadable(path + ": tensor 'A' has an entry that is not finite");
    return a;
}

/// The instances of a file: `train.b`, `validation.b`, `test.b` of shape [count, m], and what belongs to them
/// by other names, `train.x_star` [count, n]. What is absent is missed when it is asked for.
class SampleFile {
  public:
    explicit SampleFile(const std::string& path) : file_(files::read_safetensors(path)) {}

    /// Writes the rows of a draw. Training goes round the file; of the other splits, whose instances are
    /// counted as independent, none is given twice.
    template <class T>
    void read(const Draw& draw, const std::string& name, const View<T>& to) const {
        constexpr const char* kSplits[] = {"train", "validation", "test"};
        const std::string split = kSplits[draw.split];
        const files::StoredTensor& stored = detail::real_matrix(
            file_, split + "." + name, "count", to.cols, "a row for each instance of this split");
        const auto count = static_cast<std::uint64_t>(stored.shape[0]);
        const std::uint64_t end = draw.first + static_cast<std::uint64_t>(draw.count);
        if (draw.split != L2O_TRAIN && end > count)
            invalid(file_.path + ": tensor '" + split + "." + name + "' has " + std::to_string(count) +
                    " rows, and " + std::to_string(end) + " instances are asked for; expected at most " +
                    std::to_string(count) + ", set " +
                    (draw.split == L2O_TEST ? "evaluate.instances" : "train.validate.instances"));
        for (std::int64_t r = 0; r < draw.count; ++r) {
            const auto row = static_cast<std::int64_t>((draw.first + static_cast<std::uint64_t>(r)) % count);
            for (std::int64_t c = 0; c < to.cols; ++c)
                to(r, c) = static_cast<T>(stored.real(row * to.cols + c));
        }
    }

  private:
    files::Safetensors file_;
};

}  // namespace l2o::plugins
