#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/train/meta_optimizer.hpp"
#include "framework/train/shards.hpp"
#include "framework/train/stages.hpp"

namespace l2o::framework {

/// Where a training is: everything that is not a tensor.
struct Cursor {
    std::int64_t stage = 0, epoch = 0;  ///< epoch within the stage
    std::int64_t trajectory = 0;        ///< over all stages: names instances and starts
    std::int64_t t = 0;                 ///< within the trajectory
    std::int64_t meta_steps = 0, skipped = 0;
    std::int64_t unsolved = 0;  ///< of those skipped: instances lacked a solution that the loss needs
    std::int64_t diverged_trajectories = 0;
    std::int64_t windows = 0;  ///< of the trajectory so far that were finite
    std::int64_t skipped_since_step =
        0;  ///< windows since the last meta-step that diverged: nothing is known of phi yet
    double loss = 0, gradient_norm = 0;  ///< of the trajectory so far
    double best_validation = 0;          ///< of the stage; NAN: none yet
    std::int64_t stale = 0;              ///< validations since the best one
    std::int64_t validations = 0;        ///< of the stage, after the one of its start
    bool improved = false;               ///< one of them was better than that of the start
    bool is_finite = true;               ///< the last one was
    double seconds = 0;                  ///< of earlier sessions and this one
    double evaluations = 0;              ///< that trajectories have paid for
    std::int64_t records = 0;            ///< of this training in the metrics log
    std::int64_t engine_bytes = 0;       ///< most so far
};

/// The learned optimizer's parameters that a training keeps.
struct Parameters {
    TensorSet phi;   ///< where the meta-optimizer is
    TensorSet mean;  ///< running mean of them; empty if none is taken
    TensorSet best;  ///< by validation, of the stage; until there is one, where the stage began
    TensorSet good;  ///< phi, or the mean, as it was when a window was finite for the last time
};

/// The meta-optimizers of the task and of imitation (null: there is none).
struct MetaOptimizers {
    MetaOptimizer& task;
    MetaOptimizer* imitation;
};

/// State of an unfinished training in one safetensors file, replaced atomically: phi/<name>, mean/<name>,
/// best/<name>, good/<name>, meta/<i>, imitation/<i>, and what the estimators of the gradient carry; the
/// cursor as JSON in its metadata, and a seal over all of it.
void write_checkpoint(const std::filesystem::path& path,
                      const std::string& hash,
                      const Cursor& cursor,
                      const Optimizer& optimizer,
                      const Parameters& parameters,
                      MetaOptimizers metas,
                      TensorRefs carried);

/// A checkpoint that was read; tensors are taken over once the stage it was in is set up again.
struct Checkpoint {
    Cursor cursor;
    std::int64_t meta_t = 0, imitation_t = 0;
    TensorFile file;

    /// @throw Error kUsage if it was written by another training (another hash); kIo if it is unreadable, of
    ///        another format, or not as it was written.
    static Checkpoint read(const std::filesystem::path& path, const std::string& hash);
    /// @throw Error kIo if a training of these stages never is where the cursor says.
    void check_place(const std::vector<Stage>& stages, const Keys& keys) const;
    /// @throw Error kIo if one is missing, has another type or shape, or a value that is not finite.
    void restore_parameters(const Optimizer& optimizer, Parameters& parameters) const;
    void restore_meta(MetaOptimizers metas) const;
};

/// What is wrong with a checkpoint, and how to go on without it.
[[nodiscard]] Error damaged(const std::string& path, const std::string& text);
/// Copies a tensor of a file. @throw Error kIo if it is missing, or its type or shape differs.
void take(const TensorFile& file, const std::string& name, Tensor& to);
/// <prefix>/<shard>/<i>, to and from a file.
[[nodiscard]] TensorRefs by_name(const std::string& prefix, const CarriedRefs& shards);
/// @param like  of the same shapes. @throw Error kIo if a tensor is missing or has another shape.
[[nodiscard]] CarriedRefs read_by_name(const TensorFile& file,
                                       const std::string& prefix,
                                       const CarriedRefs& like);

}  // namespace l2o::framework
