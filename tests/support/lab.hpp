#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"

namespace l2o::test {

using framework::Dtype;
using framework::has;
using framework::Tensor;
using OptionText = std::map<std::string, std::string>;

/// The plugins of this build.
const framework::Catalog& catalog();

/// All values of a tensor as doubles, and back.
std::vector<double> values(const Tensor& tensor);
void set_values(Tensor& tensor, const std::vector<double>& values);

/// |got - want| relative to |want|, norm-wise; absolute where want is zero.
double relative_error(const std::vector<double>& got, const std::vector<double>& want);

/// An optimizee with sampled instances (split kTrain, solutions included) and its start points.
class ProblemLab {
  public:
    struct Setup {
        std::string optimizee;
        OptionText options{};
        std::int64_t instances = 4;
        Dtype dtype = Dtype::kF64;
        std::uint64_t seed = 1;
    };
    explicit ProblemLab(const Setup& setup);

    const framework::Optimizee& optimizee() const { return *optimizee_; }
    framework::ProblemData& data() { return data_; }
    /// A data tensor by name.
    Tensor& data(const std::string& name);
    /// Points, one tensor [instances, shape] per block; editable.
    std::vector<Tensor>& x() { return x_; }

    /// Objective per row at x().
    std::vector<double> objective();
    /// Gradient at x(), one vector per block.
    std::vector<std::vector<double>> gradient();
    /// H(x) v.
    std::vector<std::vector<double>> hvp(const std::vector<std::vector<double>>& v);
    /// Proximal point of x() with step tau for every row.
    std::vector<std::vector<double>> prox(double tau);
    /// A metric per row, by name; of a ratio u and w of every row, one after the other.
    std::vector<double> metric(const std::string& name);

    /// Worst norm-wise relative difference to central differences, at points moved by N(0, spread^2).
    double gradient_error(double spread = 0.5);
    double hvp_error(double spread = 0.5);

  private:
    std::shared_ptr<const framework::Optimizee> optimizee_;
    framework::ProblemData data_;
    std::vector<Tensor> x_;
};

/// An optimizer on the problem of a ProblemLab, driven by the framework's own loop.
class Lab {
  public:
    struct Setup {
        std::string optimizer;
        OptionText options{};
        ProblemLab::Setup problem{};
        std::int64_t horizon = 0;
    };
    explicit Lab(const Setup& setup);

    struct Run {
        std::vector<std::vector<double>> x;  ///< points 0..T: all blocks, one after the other
        std::vector<std::vector<double>> f;  ///< points 0..T, per row
        std::int64_t value_evaluations = 0, gradient_evaluations = 0;  ///< of row 0
    };

    ProblemLab& problem() { return problem_; }
    const framework::Optimizer& optimizer() const { return *optimizer_; }
    std::vector<Tensor>& params() { return params_; }
    Tensor& param(const std::string& name);

    /// `steps` steps from problem().x(); f is recorded at every point without being charged.
    Run run(std::int64_t steps);

    /// Worst norm-wise relative difference between step_vjp and central differences of step, over every input
    /// that has one (params, state, x, f, g, and the answers of an ask round), with random cotangents, at the
    /// point reached after `warm_up` steps. Learned parameters only.
    double step_vjp_error(std::int64_t warm_up = 3, double difference = 1e-6);

  private:
    ProblemLab problem_;
    std::shared_ptr<const framework::Optimizer> optimizer_;
    std::vector<Tensor> params_;
};

}  // namespace l2o::test
