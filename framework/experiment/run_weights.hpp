#pragma once

#include <filesystem>
#include <memory>

#include "framework/experiment/run_state.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {

/// Where the weights of a run come from: files that are given, earlier trainings, or one now.
class RunWeights {
  public:
    explicit RunWeights(RunState& state) : state_(state) {}

    /// Weights that are given, or that an earlier training has left: in this folder, or for everybody.
    void find(Entrant& entrant);
    /// Where those of a training are found again.
    [[nodiscard]] std::filesystem::path stored(const Contestant& contestant) const;
    void train(Entrant& entrant, int threads, const ProgressSink& progress);
    /// Parameters of all that can have them: from files, also right after a training, so that a run that
    /// finds weights again gives the same bits.
    void load_parameters();

  private:
    [[nodiscard]] bool is_retrained(const Contestant& contestant) const;
    void find_shared(Entrant& entrant);
    /// The only process that trains these weights for everybody; the others wait. Null: nobody else does.
    [[nodiscard]] std::unique_ptr<LockFile> lock(const Contestant& contestant) const;
    /// Weights that were found, if they are what their training left.
    void use_found(Entrant& entrant, const std::filesystem::path& stored);
    void use(Entrant& entrant, TensorFile file, WeightsReport::Source source);
    TensorSet parameters(Entrant& entrant) const;

    RunState& state_;
};

}  // namespace l2o::framework
