#pragma once

#include <cstddef>
#include <l2o/sdk/optimizer.hpp>
#include <span>
#include <vector>

namespace l2o::plugins {

/// The learned numbers of a method that has but a few, each a parameter of its own.
class LearnedNumbers {
  public:
    struct Number {
        const char *name, *doc;
        double start;
    };

    void bind(OptimizerSpec& spec, std::span<const Number> numbers) {
        for (const Number& number : numbers) {
            params_.push_back(spec.param({.name = number.name, .doc = number.doc}));
            starts_.push_back(number.start);
        }
    }
    template <class T>
    void init(const ParamsOut<T>& params) const {
        for (std::size_t i = 0; i < params_.size(); ++i) params[params_[i]].scalar() = T(starts_[i]);
    }
    /// Number i, as in bind().
    template <class T>
    [[nodiscard]] double get(const StepIn<T>& in, std::size_t i) const {
        return double(in.param(params_[i]).scalar());
    }

  private:
    std::vector<Param> params_;
    std::vector<double> starts_;
};

}  // namespace l2o::plugins
