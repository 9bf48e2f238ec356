#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace l2o::bench {

/// A float32 array that lives elsewhere.
struct Array {
    std::vector<std::int64_t> shape;
    const float* values;
};

/// LISTA and ALISTA as one writes them in LibTorch, with autograd: what bench_unrolled compares with. Takes
/// parameters and data (A, b, x_star) by the names that l2o has for them, and copies them.
class TorchNet {
  public:
    enum class Kind { kLista, kAlista };
    TorchNet(Kind kind, std::int64_t layers, const std::map<std::string, Array>& arrays);
    TorchNet(const TorchNet&) = delete;
    TorchNet& operator=(const TorchNet&) = delete;
    ~TorchNet();

    /// Forward, loss = mean over the batch of 1/2 |x_K - x_star|^2, backward. @return the loss.
    double train();
    /// Of the last train().
    [[nodiscard]] std::vector<float> gradient(const std::string& parameter) const;
    /// b [1, m] to x_K [1, n], without recording.
    void solve(const float* b, float* x);

    static void set_threads(int threads);

  private:
    struct Net;
    std::unique_ptr<Net> net_;
};

}  // namespace l2o::bench
