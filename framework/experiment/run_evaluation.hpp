#pragma once

#include <string>
#include <vector>

#include "framework/experiment/kept_curves.hpp"

namespace l2o::framework {

/// The comparison of a run, and what its folder keeps of it.
class RunEvaluation {
  public:
    /// @pre everybody who can has parameters, also those who are not chosen later on
    explicit RunEvaluation(RunState& state)
        : state_(state), kept_(state), entrants_hash_(kept_.hash_of_all()) {}

    /// @return false if something is left to do, or would come to something else than what is stored.
    bool take_up(Results& results) const;
    void evaluate(Results& results);

  private:
    /// Names what the run has come to: the results that are stored, and all that they depend on.
    [[nodiscard]] std::string results_hash() const;
    void quote_times(std::vector<Curve>& curves) const;
    void remove_evaluations() const;  ///< all but the rows that are kept

    RunState& state_;
    const KeptCurves kept_;
    const std::string entrants_hash_;
};

}  // namespace l2o::framework
