#pragma once

#include <l2o/numerics/cma.hpp>
#include <memory>
#include <vector>

#include "framework/train/estimator.hpp"

namespace l2o::framework {

/// Searches for the learned parameters themselves, from values alone: by the evolution strategy with
/// covariance matrix adaptation (numerics/cma.hpp). A window is a whole trajectory and a generation: every
/// candidate runs the batch with the same draws, and the parameters become the mean of the next distribution.
/// A candidate that diverges is the worst. Coordinates are parameters divided by the factors of their rates.
class CovarianceSearch : public Estimator {
  public:
    /// The covariance has as many rows; more are better trained by es or pes.
    static constexpr std::int64_t kMostNumbers = 200;

    /// @throw Error kUsage if the stage trains more numbers, or lets windows be shorter than trajectories.
    static void check(const Optimizer& optimizer, const Stage& stage);

    /// @pre check()
    explicit CovarianceSearch(const Lesson& lesson);
    ~CovarianceSearch() override;

    std::int64_t start(std::uint64_t index) override;
    /// @param gradient  is 0: see proposed().
    Unroll::Window window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) override;
    [[nodiscard]] const TensorSet* proposed() const override { return &mean_; }
    [[nodiscard]] TensorRefs carried(std::int64_t t) const override;
    void restore(const TensorFile& file, std::uint64_t index, std::int64_t t) override;
    [[nodiscard]] std::int64_t bytes() const override;
    [[nodiscard]] double paid() const override;

  private:
    struct Candidate;

    void run(Candidate& candidate, std::int64_t number) const;
    /// Of the coordinates of the search, to the parameters that are trained.
    void set_params(TensorSet& params, const std::vector<double>& coordinates) const;

    const Lesson lesson_;
    TensorSet mean_;  // empty tensors for what is not trained
    numerics::Cma cma_;
    Tensor search_;  // see Cma::state_size()
    bool has_begun_ = false;
    std::uint64_t trajectory_ = 0;
    ProblemData drawn_;
    std::vector<std::unique_ptr<Candidate>> candidates_;
    numerics::RowMatrix<double> draws_;  // y of the candidates
};

}  // namespace l2o::framework
