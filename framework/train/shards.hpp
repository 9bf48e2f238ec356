#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/rollout/unroll.hpp"
#include "framework/train/settings.hpp"

namespace l2o::framework {

/// x and state of every shard.
using Carried = std::vector<std::vector<Tensor>>;
using CarriedRefs = std::vector<std::vector<const Tensor*>>;
[[nodiscard]] Carried copies(const CarriedRefs& shards);
[[nodiscard]] CarriedRefs pointers(const Carried& shards);

/// What a training would refuse when its first window begins, told before anything is drawn or looked for.
/// @throw Error kUsage if train.memory does not even hold what one step of a shard has to be kept of: no more
///        than a lower bound, as the rest depends on the loss and on the number of threads.
void check_memory(const TrainSettings& train, const Optimizer& optimizer, const Optimizee& optimizee);

/// A batch of trajectories cut into shards of a fixed number of rows. Every shard has its own engine and
/// gradient; they are added up in order, so that nothing depends on the number of threads.
class Shards {
  public:
    struct Options {
        Split split = Split::kTrain;
        std::int64_t batch = 0, row0 = 0;  ///< row0: of the first row, for its draws
        std::int64_t shard_rows = 0;       ///< 0: 32, or half of the batch where there are megabytes to train
        std::vector<double> rates{};       ///< of the stage, per parameter: 0 gets no gradient; empty: all do
        UnrollOptions unroll;              ///< memory_bytes: of all shards together
        bool with_solutions = false;       ///< drawn even if the loss needs none
    };
    Shards(const Optimizer& optimizer,
           const Optimizee& optimizee,
           const Loss& loss,
           const TensorSet& params,
           const Keys& keys,
           const Options& options,
           int threads);
    Shards(const Shards&) = delete;
    Shards& operator=(const Shards&) = delete;

    /// The instances first .. first + batch - 1 of the split; what all instances share is left out.
    [[nodiscard]] ProblemData draw(std::uint64_t first) const;
    /// Starts trajectory number `index` on instances that draw() gave. Windows of it say so if the loss needs
    /// a solution that some have not.
    void start(std::uint64_t index, const ProblemData& instances);
    /// Length of the trajectories that are started from now on.
    void set_horizon(std::int64_t horizon);
    /// Windows from now on are differentiated on this share of the rows, those with the least score, see
    /// Unroll::add_scores(), each with the factor that leaves the sum of them 1; 1: all. At least one row.
    void set_share(double share) { share_ = share; }
    /// Runs n steps. @return false if they diverged.
    bool advance(std::int64_t n);
    /// Goes on in the middle of it: t, and what carried() gave.
    void restore(std::int64_t t, const CarriedRefs& carried);
    [[nodiscard]] CarriedRefs carried() const;
    /// One per shard; their keys change from trajectory to trajectory.
    [[nodiscard]] std::vector<const Scene*> scenes() const;
    [[nodiscard]] std::int64_t t() const { return shards_.front()->unroll.t(); }

    /// Runs n steps of all shards; `gradient` is overwritten with the sum of cot * d(loss of a
    /// row)/d(params).
    Unroll::Window window(std::int64_t n, double cot, TensorSet& gradient, std::int64_t first_reverse);
    Unroll::Window score(std::int64_t n);
    /// Of every row, of the last score(): not finite if it diverged, or its shard was given up.
    [[nodiscard]] std::vector<double> row_losses() const;
    /// Whether a row of the trajectory lacks a solution that the loss needs.
    [[nodiscard]] bool is_unsolved(std::size_t row) const { return !unsolved_.empty() && unsolved_[row]; }
    /// n steps beside the teachers, one per shard; `gradient` as of window().
    Unroll::Window imitate(std::int64_t n,
                           double cot,
                           TensorSet& gradient,
                           const std::vector<std::unique_ptr<Teacher>>& teachers);

    [[nodiscard]] std::int64_t bytes() const;
    /// See Unroll::paid(), of all shards.
    [[nodiscard]] double paid() const;

  private:
    struct Shard {
        Shard(const Optimizer& optimizer,
              const Optimizee& optimizee,
              const Loss& loss,
              const TensorSet& params,
              ProblemData rows,
              std::uint64_t row0,
              const std::vector<double>& rates,
              const UnrollOptions& options);
        std::size_t number = 0;
        ProblemData data;
        Scene scene;
        Unroll unroll;
        TensorSet gradient;  // empty in the first shard, which writes to the sum
    };
    void choose_rows();
    template <class Body>
    Unroll::Window all(Body&& body);
    template <class Body>
    Unroll::Window all_with_gradient(TensorSet& gradient, Body&& body);

    const Optimizer& optimizer_;
    const Optimizee& optimizee_;
    const Keys& keys_;
    Options options_;
    int threads_;
    bool with_solutions_;
    double share_ = 1;
    std::string loss_needing_solutions_;  // "": it needs none
    std::vector<bool> unsolved_;  // rows of the trajectory that lack one that the loss needs; empty: none
    ProblemData data_;  // of the whole batch; shards borrow its rows, its shared tensors are drawn once
    std::vector<std::unique_ptr<Shard>> shards_;
};

/// See Shards::bytes() and paid(), over pointers to what has shards of its own.
template <class Owners>
[[nodiscard]] std::int64_t bytes_of_shards(const Owners& owners) {
    std::int64_t sum = 0;
    for (const auto& owner : owners) sum += owner->shards.bytes();
    return sum;
}
template <class Owners>
[[nodiscard]] double paid_by_shards(const Owners& owners) {
    double sum = 0;
    for (const auto& owner : owners) sum += owner->shards.paid();
    return sum;
}

[[nodiscard]] TensorSet clone(const TensorSet& set);

/// Zeroed accumulators for the learned parameters; buffers, and those with rate 0, get none.
[[nodiscard]] TensorSet gradient_like(const Optimizer& optimizer,
                                      const TensorSet& params,
                                      const std::vector<double>& rates = {});

}  // namespace l2o::framework
