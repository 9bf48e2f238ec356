#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace l2o::bench {

/// What the two-layer network of L2O-DM runs on for T steps: arrays that live elsewhere.
struct LstmTask {
    std::int64_t inputs, hidden, n, steps;
    const float *w1, *b1, *w2, *b2;  ///< [inputs + hidden, 4 hidden] and so on, gates i, j, f, o
    const float *w, *b;              ///< read-out [hidden, 1], [1]
    const float* x;                  ///< [steps, inputs, n]
    const float* state;              ///< [4, n, hidden]: h1, c1, h2, c2 at the start
    const float* bar;                ///< [steps, n]: cotangents of the read-outs
};

/// The same network as one writes it in LibTorch, with autograd: what bench_lstm_step compares with. Copies
/// the task's arrays.
class TorchLstm {
  public:
    /// at::lstm_cell on [n, features], or products and activations on [features, n].
    enum class Form { kCell, kFeatureMajor };
    TorchLstm(Form form, const LstmTask& task);
    TorchLstm(const TorchLstm&) = delete;
    TorchLstm& operator=(const TorchLstm&) = delete;
    ~TorchLstm();

    /// Without recording.
    void forward();
    void train();
    /// Of the last call: read-outs [steps, n].
    [[nodiscard]] std::vector<float> read_outs() const;
    /// Of the last train(): cotangents of w1 and w2 as the task has them.
    [[nodiscard]] std::vector<float> weights_bar() const;

    static void set_threads(int threads);

  private:
    struct Net;
    std::unique_ptr<Net> net_;
};

}  // namespace l2o::bench
