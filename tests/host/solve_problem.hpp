#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framework/store/safetensors.hpp"
#include "tests/host/command.hpp"

namespace l2o::test {

using Metadata = std::map<std::string, std::string>;
using Numbers = std::vector<double>;

inline framework::Tensor tensor(framework::Dtype dtype,
                                const framework::Shape& shape,
                                const Numbers& numbers) {
    framework::Tensor out(dtype, shape);
    REQUIRE(numbers.size() == static_cast<std::size_t>(out.size()));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (dtype == framework::Dtype::kF32) out.values<float>()[i] = static_cast<float>(numbers[i]);
        if (dtype == framework::Dtype::kF64) out.values<double>()[i] = numbers[i];
        if (dtype == framework::Dtype::kI64)
            out.values<std::int64_t>()[i] = static_cast<std::int64_t>(numbers[i]);
    }
    return out;
}

inline Numbers numbers(const framework::Tensor& tensor) {
    Numbers out;
    for (std::int64_t i = 0; i < tensor.size(); ++i) out.push_back(tensor.value(i));
    return out;
}

/// A problem file in a folder of its own, and runs of `l2o solve` on it.
class Problem {
  public:
    explicit Problem(const std::string& optimizee, framework::Dtype dtype = framework::Dtype::kF64)
        : dtype_(dtype) {
        metadata["l2o.optimizee"] = optimizee;
    }

    void add(const std::string& name, const framework::Shape& shape, const Numbers& values) {
        tensors[name] = tensor(dtype_, shape, values);
    }
    /// Entries 0.1, 0.2, ... modulo 0.7.
    void add(const std::string& name, const framework::Shape& shape) {
        Numbers values;
        for (std::int64_t i = 0; i < framework::element_count(shape); ++i)
            values.push_back(0.1 * static_cast<double>(i % 7 + 1));
        add(name, shape, values);
    }
    Outcome solve(const std::string& arguments, const std::string& before = "") {
        return run_l2o(folder, written_for(arguments), before);
    }
    /// Writes the problem; the words of an l2o that solves it.
    std::string written_for(const std::string& arguments) {
        framework::TensorRefs refs;
        for (const auto& [name, value] : tensors) refs[name] = &value;
        framework::write_safetensors(folder / "p.safetensors", refs, metadata);
        return "solve --problem p.safetensors --output out.safetensors " + arguments;
    }
    [[nodiscard]] framework::TensorFile output() const {
        return framework::read_safetensors(folder / "out.safetensors");
    }

    std::unique_ptr<ScratchFolder> scratch = std::make_unique<ScratchFolder>();
    ScratchFolder& folder = *scratch;
    Metadata metadata;
    std::map<std::string, framework::Tensor> tensors;

  private:
    framework::Dtype dtype_;
};

inline const Numbers kW{1, 0.5, -0.25, 2, 0.75, -1, 0.5, 1.5}, kY{1, -2, 0.5, 0.25}, kStart{0.5, -0.5, 1, 2};

/// Two instances of ||W x - y||^2 in two variables.
inline Problem small_quadratic(framework::Dtype dtype = framework::Dtype::kF64) {
    Problem problem("quadratic", dtype);
    problem.add("W", {2, 2, 2}, kW);
    problem.add("y", {2, 2}, kY);
    problem.add("x0", {2, 2}, kStart);
    return problem;
}

inline Problem small_lasso() {
    Problem problem("lasso");
    problem.add("A", {3, 5}, {1, 0, 0, .6, 0, 0, 1, 0, .8, 0, 0, 0, 1, 0, 1});
    problem.add("b", {2, 3});
    return problem;
}

/// A quadratic problem that any of these solves.
inline void add_quadratic(Problem& problem) {
    problem.add("W", {2, 2, 2}, kW);
    problem.add("y", {2, 2}, kY);
}

}  // namespace l2o::test
