#include "framework/train/checkpoint.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <l2o/files/json.hpp>

#include "framework/rollout/arithmetic.hpp"
#include "framework/store/file_handle.hpp"
#include "framework/text/json.hpp"
#include "framework/weights/json_numbers.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kCheckpointKey = "l2o.checkpoint";
constexpr const char* kFormat = "3";  ///< 1: without a seal; 2: without evaluations
constexpr const char* kRemedy = "; remove this file, and its training begins anew";

TensorFile read_checkpoint_file(const std::filesystem::path& path) {
    const FileHandle readable(path, O_RDONLY | O_NONBLOCK);  // else it need not be removed
    try {
        return read_safetensors(path);
    } catch (const Error& error) {
        throw Error(error.code(), error.what() + std::string(kRemedy));
    }
}

std::string carried_name(const std::string& prefix, std::size_t shard, std::size_t i) {
    return prefix + "/" + std::to_string(shard) + "/" + std::to_string(i);
}

/// Calls body with the name in the file and the tensor of every parameter that is kept.
template <class Kept, class Body>
void for_each_parameter(const Optimizer& optimizer, Kept& parameters, Body&& body) {
    const auto all = [&](const char* set, auto& tensors) {
        for (std::size_t i = 0; i < tensors.size(); ++i)
            body(std::string(set) + "/" + optimizer.params()[i]->name, tensors[i]);
    };
    all("phi", parameters.phi);
    all("mean", parameters.mean);
    all("best", parameters.best);
    all("good", parameters.good);
}

template <class Body>
void for_each_state(const MetaOptimizers& metas, Body&& body) {
    const auto all = [&](const char* set, MetaOptimizer& meta) {
        for (std::size_t i = 0; i < meta.state().size(); ++i)
            body(std::string(set) + "/" + std::to_string(i), meta.state()[i]);
    };
    all("meta", metas.task);
    if (metas.imitation != nullptr) all("imitation", *metas.imitation);
}

/// The tensor of a file that has the type and shape of another one.
const Tensor& alike(const TensorFile& file, const std::string& name, const Tensor& like) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) throw damaged(file.path, "has no tensor '" + name + "'");
    const Tensor& tensor = found->second;
    if (tensor.dtype() != like.dtype() || tensor.shape() != like.shape()) {
        throw damaged(file.path,
                      "tensor '" + name + "' is " + name_of(tensor.dtype()) + " " +
                          to_string(tensor.shape()) + "; expected " + name_of(like.dtype()) + " " +
                          to_string(like.shape()));
    }
    return tensor;
}

nlohmann::json parse_cursor(const std::string& text, const std::filesystem::path& path) try {
    return files::parse_json(text, 4, "a cursor");
} catch (const files::JsonFault& fault) {
    throw damaged(path, std::string("malformed checkpoint: its cursor ") + fault.what());
}

}  // namespace

Error damaged(const std::string& path, const std::string& text) {
    return {ExitCode::kIo, path + ": " + text + kRemedy};
}

void take(const TensorFile& file, const std::string& name, Tensor& to) {
    const Tensor& from = alike(file, name, to);
    std::memcpy(to.data(), from.data(), static_cast<std::size_t>(to.bytes()));
}

TensorRefs by_name(const std::string& prefix, const CarriedRefs& shards) {
    TensorRefs out;
    for (std::size_t shard = 0; shard < shards.size(); ++shard)
        for (std::size_t i = 0; i < shards[shard].size(); ++i)
            out[carried_name(prefix, shard, i)] = shards[shard][i];
    return out;
}

CarriedRefs read_by_name(const TensorFile& file, const std::string& prefix, const CarriedRefs& like) {
    CarriedRefs carried;
    for (const auto& tensors : like) {
        const std::size_t shard = carried.size();
        carried.emplace_back();
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            carried.back().push_back(&alike(file, carried_name(prefix, shard, i), *tensors[i]));
        }
    }
    return carried;
}

void write_checkpoint(const std::filesystem::path& path,
                      const std::string& hash,
                      const Cursor& cursor,
                      const Optimizer& optimizer,
                      const Parameters& parameters,
                      MetaOptimizers metas,
                      TensorRefs tensors) {
    for_each_parameter(optimizer, parameters, [&](const std::string& name, const Tensor& tensor) {
        tensors[name] = &tensor;
    });
    for_each_state(metas, [&](const std::string& name, const Tensor& tensor) { tensors[name] = &tensor; });
    nlohmann::json json{{"format", kFormat},
                        {"hash", hash},
                        {"stage", cursor.stage},
                        {"epoch", cursor.epoch},
                        {"trajectory", cursor.trajectory},
                        {"t", cursor.t},
                        {"meta_t", metas.task.t()},
                        {"meta_steps", cursor.meta_steps},
                        {"skipped", cursor.skipped},
                        {"unsolved", cursor.unsolved},
                        {"diverged_trajectories", cursor.diverged_trajectories},
                        {"windows", cursor.windows},
                        {"skipped_since_step", cursor.skipped_since_step},
                        {"loss", cursor.loss},
                        {"gradient_norm", cursor.gradient_norm},
                        {"best_validation", cursor.best_validation},
                        {"stale", cursor.stale},
                        {"validations", cursor.validations},
                        {"improved", cursor.improved},
                        {"is_finite", cursor.is_finite},
                        {"seconds", cursor.seconds},
                        {"evaluations", cursor.evaluations},
                        {"records", cursor.records},
                        {"engine_bytes", cursor.engine_bytes}};
    if (metas.imitation != nullptr) json["imitation_t"] = metas.imitation->t();
    write_safetensors(path, tensors, sealed(tensors, {{kCheckpointKey, json.dump()}}));
}

Checkpoint Checkpoint::read(const std::filesystem::path& path, const std::string& hash) try {
    Checkpoint checkpoint;
    checkpoint.file = read_checkpoint_file(path);
    const auto found = checkpoint.file.metadata.find(kCheckpointKey);
    if (found == checkpoint.file.metadata.end())
        throw damaged(path, std::string("not a checkpoint (no metadata '") + kCheckpointKey + "')");
    const nlohmann::json json = parse_cursor(found->second, path);
    const std::string format = json.value("format", "1");
    if (format != kFormat)
        throw damaged(path,
                      "written by another version of l2o (checkpoints of format '" + format +
                          "'; this one has format '" + kFormat + "')");
    if (!is_sealed(checkpoint.file)) throw damaged(path, "not as it was written: its checksum differs");
    if (json.at("hash") != hash) {
        throw Error(ExitCode::kUsage,
                    path.string() +
                        ": belongs to another training (its configuration, plugin version or seed "
                        "differs); start a new run, or restore the configuration");
    }
    const auto count = [&](const char* key) { return count_of(json, key); };
    checkpoint.meta_t = count("meta_t");
    if (json.contains("imitation_t")) checkpoint.imitation_t = count("imitation_t");
    checkpoint.cursor = {.stage = count("stage"),
                         .epoch = count("epoch"),
                         .trajectory = count("trajectory"),
                         .t = count("t"),
                         .meta_steps = count("meta_steps"),
                         .skipped = count("skipped"),
                         .unsolved = json.contains("unsolved") ? count("unsolved") : 0,
                         .diverged_trajectories = count("diverged_trajectories"),
                         .windows = count("windows"),
                         .skipped_since_step = count("skipped_since_step"),
                         .loss = real_of(json, "loss"),
                         .gradient_norm = real_of(json, "gradient_norm"),
                         .best_validation = real_of(json, "best_validation"),
                         .stale = count("stale"),
                         .validations = count("validations"),
                         .improved = json.at("improved"),
                         .is_finite = json.at("is_finite"),
                         .seconds = real_of(json, "seconds"),
                         .evaluations = real_of(json, "evaluations"),
                         .records = count("records"),
                         .engine_bytes = count("engine_bytes")};
    return checkpoint;
} catch (const nlohmann::json::exception& error) {
    throw damaged(path, std::string("malformed checkpoint: ") + error.what());
} catch (const files::JsonFault& fault) {
    throw damaged(path, fault.what());
}

void Checkpoint::check_place(const std::vector<Stage>& stages, const Keys& keys) const {
    std::int64_t trajectories = 0;  // of the stages before, at most
    bool is_there = cursor.stage < static_cast<std::int64_t>(stages.size());
    for (std::int64_t i = 0; is_there && i < cursor.stage; ++i)
        trajectories += stages[static_cast<std::size_t>(i)].epochs;
    if (is_there) {
        const Stage& stage = stages[static_cast<std::size_t>(cursor.stage)];
        const auto index = static_cast<std::uint64_t>(cursor.trajectory);
        std::int64_t t = 0;  // windows begin there
        while (t < std::min(cursor.t, stage.horizon)) t += stage.unroll_of(keys, index, t);
        is_there = cursor.epoch <= stage.epochs && cursor.trajectory >= cursor.epoch &&
                   cursor.trajectory <= trajectories + cursor.epoch && t == cursor.t &&
                   (t == 0 || (t < stage.horizon_of(keys, index) && cursor.epoch < stage.epochs));
    }
    const bool is_counted = meta_t <= cursor.meta_steps && imitation_t <= cursor.meta_steps - meta_t &&
                            cursor.stale <= cursor.validations + 1 && !(cursor.gradient_norm < 0) &&
                            std::isfinite(cursor.seconds) && cursor.seconds >= 0 &&
                            std::isfinite(cursor.evaluations) && cursor.evaluations >= 0;
    if (is_there && is_counted) return;
    throw damaged(file.path,
                  "the training is never at step " + std::to_string(cursor.t) + " of trajectory " +
                      std::to_string(cursor.trajectory) + ", epoch " + std::to_string(cursor.epoch) +
                      " of stage " + std::to_string(cursor.stage) + ", after " +
                      std::to_string(cursor.meta_steps) + " meta-steps");
}

void Checkpoint::restore_parameters(const Optimizer& optimizer, Parameters& parameters) const {
    for_each_parameter(optimizer, parameters, [&](const std::string& name, Tensor& tensor) {
        take(file, name, tensor);
        if (is_real(tensor.dtype()) && !all_finite(tensor))
            throw damaged(file.path, "tensor '" + name + "' is not finite");
    });
}

void Checkpoint::restore_meta(MetaOptimizers metas) const {
    for_each_state(metas, [&](const std::string& name, Tensor& tensor) { take(file, name, tensor); });
    metas.task.restore(meta_t);
    if (metas.imitation != nullptr) metas.imitation->restore(imitation_t);
}

}  // namespace l2o::framework
