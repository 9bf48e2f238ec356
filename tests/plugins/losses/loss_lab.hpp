#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/spec.hpp>
#include <string>
#include <vector>

#include "framework/plugin/loss.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

/// A loss on a trajectory of random numbers: points t0 .. t0 + len - 1 of a batch, float64.
class LossLab {
  public:
    struct Setup {
        std::string loss;
        OptionText options{};
        std::int64_t batch = 3, len = 5, t0 = 0, horizon = 4, particles = 0;
        std::vector<framework::Shape> blocks{{2}};
        bool is_game = false;  ///< the last block is maximised
    };
    explicit LossLab(const Setup& setup, const std::string& optimizee = "quadratic")
        : setup_(setup), problem_(problem_of(setup, optimizee)), loss_(entry(setup), resolve(setup), task()) {
        framework::Shape rows{setup.len, setup.batch};
        if (setup.particles > 0) rows.push_back(setup.particles);
        f_ = random(rows);
        std::int64_t n = 0;
        for (const framework::Shape& block : setup.blocks) {
            framework::Shape shape = rows;
            shape.insert(shape.end(), block.begin(), block.end());
            x_.push_back(random(shape));
            n += framework::element_count(block);
        }
        x_star_ = random({setup.batch, n});
        for (const Tensor& block : x_) g_.push_back(random(block.shape()));
    }

    const framework::Loss& loss() const { return loss_; }
    Tensor& f() { return f_; }
    Tensor& x(std::size_t block) { return x_[block]; }
    Tensor& g(std::size_t block) { return g_[block]; }
    Tensor& x_star() { return x_star_; }

    /// Score per row of the points first .. first + len - 1 of this lab's window.
    std::vector<double> eval(std::int64_t first, std::int64_t len) {
        Tensor f = f_.rows(first, len);
        std::vector<Tensor> x, g;
        for (Tensor& block : x_) x.push_back(block.rows(first, len));
        for (Tensor& block : g_) g.push_back(block.rows(first, len));
        Tensor per_row(Dtype::kF64, {setup_.batch});
        const Arguments arguments(*this, f, x, g, first, len);
        check(loss_.api().eval(loss_.raw(), call_.plain(), &arguments.trajectory, per_row.abi()));
        return values(per_row);
    }
    std::vector<double> eval() { return eval(0, setup_.len); }

    /// Worst norm-wise relative difference of vjp to central differences, with respect to f, x and g.
    double vjp_error() {
        const std::vector<double> cot_values = values(random({setup_.batch}));
        Tensor cot(Dtype::kF64, {setup_.batch});
        set_values(cot, cot_values);
        Tensor acc_f(Dtype::kF64, f_.shape());
        std::vector<Tensor> acc_x, acc_g;
        for (Tensor& block : x_) acc_x.emplace_back(Dtype::kF64, block.shape());
        for (Tensor& block : g_) acc_g.emplace_back(Dtype::kF64, block.shape());
        std::vector<l2o_tensor*> acc_blocks, acc_gradients;
        for (Tensor& block : acc_x) acc_blocks.push_back(block.abi());
        for (Tensor& block : acc_g) acc_gradients.push_back(block.abi());
        const Arguments arguments(*this, f_, x_, g_, 0, setup_.len);
        const l2o_trajectory_acc acc{.f = acc_f.abi(), .x = acc_blocks.data(), .g = acc_gradients.data()};
        // Twice: a vjp adds.
        for (int i = 0; i < 2; ++i)
            check(loss_.api().vjp(loss_.raw(), call_.plain(), &arguments.trajectory, cot.abi(), &acc));
        double worst = difference_error(f_, acc_f, cot_values);
        for (std::size_t k = 0; k < x_.size(); ++k)
            worst = std::max(worst, difference_error(x_[k], acc_x[k], cot_values));
        for (std::size_t k = 0; k < g_.size(); ++k)
            worst = std::max(worst, difference_error(g_[k], acc_g[k], cot_values));
        return worst;
    }

  private:
    struct Arguments {
        Arguments(LossLab& lab,
                  const Tensor& f,
                  const std::vector<Tensor>& x,
                  const std::vector<Tensor>& g,
                  std::int64_t first,
                  std::int64_t len) {
            for (const Tensor& block : x) blocks.push_back(block.abi());
            for (const Tensor& block : g) gradients.push_back(block.abi());
            data.push_back(lab.x_star_.abi());
            trajectory.batch = static_cast<std::uint32_t>(lab.setup_.batch);
            trajectory.t0 = lab.setup_.t0 + first;
            trajectory.len = len;
            trajectory.horizon = lab.setup_.horizon;
            trajectory.particles = static_cast<std::uint32_t>(lab.setup_.particles);
            trajectory.f = f.abi();
            trajectory.x = blocks.data();
            trajectory.data = data.data();
            trajectory.g = gradients.data();
        }
        std::vector<const l2o_tensor*> blocks, gradients, data;
        l2o_trajectory trajectory{};
    };

    /// One of as many variables as the blocks of the setup have.
    static ProblemLab::Setup problem_of(const Setup& setup, const std::string& optimizee) {
        std::int64_t n = 0;
        for (const framework::Shape& block : setup.blocks) n += framework::element_count(block);
        ProblemLab::Setup problem{.optimizee = optimizee};
        if (optimizee == "quadratic") problem.options = {{"n", std::to_string(n)}};
        return problem;
    }
    /// The data of the problem, and the blocks of the setup.
    framework::Task task() {
        framework::Task task = framework::task_of(problem_.optimizee(), setup_.horizon);
        task.blocks.clear();
        for (const framework::Shape& shape : setup_.blocks) {
            const bool is_max = setup_.is_game && &shape == &setup_.blocks.back();
            const auto i = specs_.add(
                {.name = "x", .shape = shape, .batched = true, .flags = is_max ? L2O_SPEC_MAXIMISED : 0},
                L2O_DTYPE_F64);
            task.blocks.push_back(specs_.at(i));
        }
        return task;
    }
    static const framework::Catalog::Entry& entry(const Setup& setup) {
        return catalog().find(framework::Kind::kLoss, setup.loss);
    }
    static framework::ResolvedOptions resolve(const Setup& setup) {
        return framework::resolve_options(
            entry(setup).component.options,
            framework::settings_from(setup.options, {.file = "test"}),
            {.origin = "test", .path = "loss", .kind = "loss", .id = setup.loss});
    }
    void check(l2o_status status) { call_.check(status, "loss '" + setup_.loss + "'"); }

    Tensor random(const framework::Shape& shape) {
        Tensor tensor(Dtype::kF64, shape);
        numerics::Stream stream(numerics::Key{31, 41}, draws_++);
        for (double& value : tensor.values<double>()) value = stream.normal();
        return tensor;
    }

    double difference_error(Tensor& input, const Tensor& acc, const std::vector<double>& cot) {
        const auto score = [&] {
            double sum = 0;
            const std::vector<double> per_row = eval();
            for (std::size_t row = 0; row < cot.size(); ++row) sum += cot[row] * per_row[row];
            return sum;
        };
        std::vector<double> got = values(acc), want(got.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            double& element = input.values<double>()[i];
            const double kept = element;
            element = kept + 1e-6;
            const double above = score();
            element = kept - 1e-6;
            want[i] = (above - score()) / 2e-6;
            element = kept;
            got[i] /= 2;
        }
        return relative_error(got, want);
    }

    Setup setup_;
    ProblemLab problem_;
    SpecList specs_;
    framework::Loss loss_;
    framework::CallContext call_;
    std::uint64_t draws_ = 0;
    Tensor f_, x_star_;
    std::vector<Tensor> x_, g_;
};

}  // namespace l2o::test
