#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/loss.hpp"
#include "framework/rollout/unroll.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

/// An optimizer, a problem and a loss, ready to be unrolled.
class Rig {
  public:
    struct Setup {
        Lab::Setup lab;
        std::string loss;
        OptionText loss_options{};
        std::int64_t horizon = 20;
        framework::SecondOrder second_order = framework::SecondOrder::kExact;
    };

    explicit Rig(Setup setup) : setup_(std::move(setup)), lab_(setup_.lab) {
        using namespace framework;
        const Catalog::Entry& entry = catalog().find(Kind::kLoss, setup_.loss);
        const OptionContext context{.origin = "test", .path = "loss", .kind = "loss", .id = setup_.loss};
        loss_ = std::make_unique<Loss>(
            entry,
            resolve_options(
                entry.component.options, settings_from(setup_.loss_options, {.file = "test"}), context),
            task_of(lab_.problem().optimizee(), setup_.horizon));
        std::vector<Tensor> params;
        for (Tensor& tensor : lab_.params())
            params.push_back(Tensor::borrow(tensor.dtype(), tensor.shape(), tensor.data()));
        params_ = TensorSet(std::move(params));
        scene_ = std::make_unique<const Scene>(
            Scene{lab_.optimizer(), lab_.problem().optimizee(), lab_.problem().data(), params_, {77, 7}, 0});
    }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;

    Lab& lab() { return lab_; }
    const framework::Scene& scene() const { return *scene_; }
    const framework::Loss& loss_plugin() const { return *loss_; }

    std::unique_ptr<framework::Unroll> unroll(std::uint64_t memory_bytes = 0) {
        auto unroll =
            std::make_unique<framework::Unroll>(*scene_,
                                                *loss_,
                                                framework::UnrollOptions{.second_order = setup_.second_order,
                                                                         .horizon = setup_.horizon,
                                                                         .memory_bytes = memory_bytes});
        unroll->start(start());
        return unroll;
    }
    /// Start points; those of a population differ from particle to particle.
    std::vector<Tensor> start() {
        const framework::PointLayout layout(lab_.optimizer(), lab_.problem().optimizee(), instances());
        std::vector<Tensor> out;
        for (std::size_t k = 0; k < lab_.problem().x().size(); ++k) {
            const std::vector<double> from = values(lab_.problem().x()[k]);
            out.emplace_back(layout.dtype, layout.blocks[k]);
            const auto cols = from.size() / static_cast<std::size_t>(instances());
            std::vector<double> to(static_cast<std::size_t>(out.back().size()));
            const std::size_t per_row = to.size() / static_cast<std::size_t>(instances());
            for (std::size_t i = 0; i < to.size(); ++i) {
                const std::size_t particle = i % per_row / cols;
                to[i] = from[i / per_row * cols + i % cols] + 0.1 * static_cast<double>(particle);
            }
            set_values(out.back(), to);
        }
        return out;
    }
    std::int64_t instances() { return lab_.problem().data().instances; }

    /// Zeros for the learned parameters; the others are not wanted.
    framework::TensorSet zero_gradient() {
        std::vector<Tensor> out;
        for (std::size_t i = 0; i < lab_.params().size(); ++i) {
            const bool learned = !has(*lab_.optimizer().params()[i], L2O_SPEC_DERIVED);
            out.push_back(learned ? Tensor(lab_.params()[i].dtype(), lab_.params()[i].shape()) : Tensor());
        }
        return framework::TensorSet(std::move(out));
    }
    /// All elements, one tensor after the other.
    static std::vector<double> flat(const framework::TensorSet& set) {
        std::vector<double> out;
        for (const Tensor& tensor : set.tensors()) {
            if (!tensor) continue;
            const auto part = values(tensor);
            out.insert(out.end(), part.begin(), part.end());
        }
        return out;
    }

    /// d loss / d parameters over one window of the whole horizon.
    std::vector<double> gradient(std::uint64_t memory_bytes = 0) {
        framework::TensorSet gradient = zero_gradient();
        unroll(memory_bytes)->window(setup_.horizon, 1, gradient);
        return flat(gradient);
    }
    /// Central differences of phi with respect to the learned parameters. With fourth_order the error of
    /// second order is taken out by Richardson's rule.
    template <class Phi>
    std::vector<double> differences(Phi&& phi, double difference, bool fourth_order = false) {
        std::vector<double> out;
        for (std::size_t i = 0; i < lab_.params().size(); ++i) {
            if (has(*lab_.optimizer().params()[i], L2O_SPEC_DERIVED)) continue;
            for (double& element : lab_.params()[i].values<double>()) {
                const double kept = element;
                const auto slope = [&](double step) {
                    element = kept + step;
                    const double above = phi();
                    element = kept - step;
                    const double below = phi();
                    element = kept;
                    return (above - below) / (2 * step);
                };
                const double step = difference * std::max(1.0, std::abs(kept));
                out.push_back(fourth_order ? (4 * slope(step) - slope(2 * step)) / 3 : slope(step));
            }
        }
        return out;
    }
    double loss() { return unroll()->score(setup_.horizon).loss; }

    /// The gradient of a window of the whole horizon against differences of the loss.
    double gradient_error(double difference, bool fourth_order = false) {
        return relative_error(gradient(), differences([&] { return loss(); }, difference, fourth_order));
    }

  private:
    Setup setup_;
    Lab lab_;
    std::unique_ptr<framework::Loss> loss_;
    framework::TensorSet params_;
    std::unique_ptr<const framework::Scene> scene_;
};

/// True if two sets of numbers have the same bits.
inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

}  // namespace l2o::test
