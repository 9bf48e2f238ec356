#include "framework/train/checkpoint.hpp"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

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

}  // namespace

void take(const TensorFile& file, const std::string& name, Tensor& to) {
    const Tensor& from = file.at(name);
    if (from.dtype() != to.dtype() || from.bytes() != to.bytes()) {
        throw Error(ExitCode::kIo,
                    file.path + ": tensor '" + name + "' is " + name_of(from.dtype()) + " " +
                        to_string(from.shape()) + "; expected " + name_of(to.dtype()) + " " +
                        to_string(to.shape()));
    }
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
            const std::string name = carried_name(prefix, shard, i);
            const Tensor& tensor = file.at(name);
            if (tensor.shape() != tensors[i]->shape() || tensor.dtype() != tensors[i]->dtype()) {
                throw Error(ExitCode::kIo,
                            file.path + ": tensor '" + name + "' has shape " + to_string(tensor.shape()) +
                                "; expected " + to_string(tensors[i]->shape()));
            }
            carried.back().push_back(&tensor);
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
    nlohmann::json json{{"hash", hash},
                        {"stage", cursor.stage},
                        {"epoch", cursor.epoch},
                        {"trajectory", cursor.trajectory},
                        {"t", cursor.t},
                        {"meta_t", metas.task.t()},
                        {"meta_steps", cursor.meta_steps},
                        {"skipped", cursor.skipped},
                        {"loss", cursor.loss},
                        {"gradient_norm", cursor.gradient_norm},
                        {"best_validation", cursor.best_validation},
                        {"stale", cursor.stale},
                        {"validations", cursor.validations},
                        {"improved", cursor.improved},
                        {"seconds", cursor.seconds},
                        {"metrics_offset", cursor.metrics_offset},
                        {"engine_bytes", cursor.engine_bytes}};
    if (metas.imitation != nullptr) json["imitation_t"] = metas.imitation->t();
    write_safetensors(path, tensors, {{"l2o.checkpoint", json.dump()}});
}

Checkpoint Checkpoint::read(const std::filesystem::path& path, const std::string& hash) {
    Checkpoint checkpoint;
    checkpoint.file = read_safetensors(path);
    const auto found = checkpoint.file.metadata.find("l2o.checkpoint");
    if (found == checkpoint.file.metadata.end()) {
        throw Error(ExitCode::kIo, path.string() + ": not a checkpoint (no metadata 'l2o.checkpoint')");
    }
    try {
        const nlohmann::json json = nlohmann::json::parse(found->second);
        if (json.at("hash") != hash) {
            throw Error(ExitCode::kUsage,
                        path.string() +
                            ": belongs to another training (its configuration, plugin version or seed "
                            "differs); start a new run, or restore the configuration");
        }
        const auto real = [&](const char* key) {
            return json.at(key).is_null() ? NAN : json.at(key).get<double>();
        };
        checkpoint.meta_t = json.at("meta_t");
        checkpoint.imitation_t = json.value("imitation_t", std::int64_t{0});
        checkpoint.cursor = {.stage = json.at("stage"),
                             .epoch = json.at("epoch"),
                             .trajectory = json.at("trajectory"),
                             .t = json.at("t"),
                             .meta_steps = json.at("meta_steps"),
                             .skipped = json.at("skipped"),
                             .loss = real("loss"),
                             .gradient_norm = real("gradient_norm"),
                             .best_validation = real("best_validation"),
                             .stale = json.at("stale"),
                             .validations = json.value("validations", std::int64_t{0}),
                             .improved = json.value("improved", false),
                             .seconds = real("seconds"),
                             .metrics_offset = json.at("metrics_offset"),
                             .engine_bytes = json.at("engine_bytes")};
    } catch (const nlohmann::json::exception& error) {
        throw Error(ExitCode::kIo, path.string() + ": malformed checkpoint: " + error.what());
    }
    return checkpoint;
}

void Checkpoint::restore_parameters(const Optimizer& optimizer, Parameters& parameters) const {
    for_each_parameter(
        optimizer, parameters, [&](const std::string& name, Tensor& tensor) { take(file, name, tensor); });
}

void Checkpoint::restore_meta(MetaOptimizers metas) const {
    for_each_state(metas, [&](const std::string& name, Tensor& tensor) { take(file, name, tensor); });
    metas.task.restore(meta_t);
    if (metas.imitation != nullptr) metas.imitation->restore(imitation_t);
}

}  // namespace l2o::framework
