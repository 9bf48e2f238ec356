#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "framework/experiment/run_state.hpp"

namespace l2o::framework {

/// What an earlier session of a run has kept of evaluations, as far as they would come to the same now.
class KeptCurves {
  public:
    explicit KeptCurves(const RunState& state) : state_(state) {}

    /// Names all that the evaluation of an entrant depends on: the configuration, the program, the plugins'
    /// libraries, the parameters, the instances and the starts.
    [[nodiscard]] std::string hash_of(const Entrant& entrant) const;
    /// Of everybody together.
    [[nodiscard]] std::string hash_of_all() const;
    [[nodiscard]] std::optional<Curve> find(const std::filesystem::path& file,
                                            const Entrant& entrant,
                                            const EvaluateSettings& settings) const;

  private:
    const RunState& state_;
};

}  // namespace l2o::framework
