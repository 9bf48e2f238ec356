#include "framework/experiment/weights.hpp"

#include <algorithm>
#include <cmath>
#include <l2o/files/json.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/config/options_text.hpp"
#include "framework/config/suggest.hpp"
#include "framework/error.hpp"
#include "framework/store/hash.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/unroll/arithmetic.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kFormatKey = "l2o.format";
constexpr const char* kOptimizerKey = "l2o.optimizer";
constexpr const char* kOptionsKey = "l2o.options";
constexpr const char* kVersionKey = "l2o.plugin_version";
constexpr const char* kProblemKey = "l2o.problem";
constexpr const char* kBuildsKey = "l2o.builds";
constexpr const char* kL2oKey = "l2o.version";

[[noreturn]] void refuse(const TensorFile& file, const std::string& text) {
    throw Error(ExitCode::kUsage, file.path + ": " + text);
}

const std::string* metadata(const TensorFile& file, const std::string& key) {
    const auto found = file.metadata.find(key);
    return found == file.metadata.end() ? nullptr : &found->second;
}

void check_format(const TensorFile& file) {
    const std::string* format = metadata(file, kFormatKey);
    if (format == nullptr || *format != kWeightFormat) {
        refuse(file,
               std::string("metadata ") + kFormatKey + " is " +
                   (format == nullptr ? "missing" : "'" + *format + "'") + "; expected '" + kWeightFormat +
                   "', a weight file");
    }
}

void check_owner(const TensorFile& file, const std::string& optimizer_id) {
    check_format(file);
    const std::string* owner = metadata(file, kOptimizerKey);
    if (owner == nullptr || *owner != optimizer_id) {
        refuse(file,
               std::string("metadata ") + kOptimizerKey + " is " +
                   (owner == nullptr ? "missing" : "'" + *owner + "'") + "; expected weights of '" +
                   optimizer_id + "'");
    }
}

bool is_derived(const l2o_spec& spec) {
    return spec.role == L2O_PARAM_BUFFER || std::string(spec.name).starts_with("const.");
}

/// Indices of the data that an optimizer needs and all instances share.
std::vector<int> shared_needs(const Optimizer& optimizer, const Optimizee& optimizee) {
    std::vector<int> indices;
    for (const int index : optimizer.needs()) {
        if (index >= 0 && optimizee.data()[static_cast<std::size_t>(index)]->batched == 0)
            indices.push_back(index);
    }
    return indices;
}

constexpr const char* kChanged =
    ": has been changed or damaged since it was written: its checksum is another one";

/// The checksum came with kL2oKey: a file that has but the one has lost the other.
bool is_changed(const TensorFile& file) {
    return (file.metadata.contains("l2o.checksum") || file.metadata.contains(kL2oKey)) && !is_sealed(file);
}

bool is_real(Dtype dtype) { return dtype == Dtype::kF32 || dtype == Dtype::kF64; }

/// A tensor of the file as a parameter; nullopt if it is derived and not there.
std::optional<Tensor> stored(const TensorFile& file, const l2o_spec& spec) {
    const auto found = file.tensors.find(spec.name);
    if (is_derived(spec) && found == file.tensors.end()) return std::nullopt;
    const Shape expected = shape_of(spec, 1);
    const std::string name = std::string("tensor '") + spec.name + "'";
    if (found == file.tensors.end()) {
        std::vector<std::string> known;
        for (const auto& [other, tensor] : file.tensors) known.push_back(other);
        refuse(file, name + " " + to_string(expected) + " is missing" + did_you_mean(spec.name, known));
    }
    const Tensor& tensor = found->second;
    if (tensor.shape() != expected) {
        refuse(file, name + " has shape " + to_string(tensor.shape()) + "; expected " + to_string(expected));
    }
    if (!is_real(tensor.dtype())) {
        refuse(file, name + " is " + name_of(tensor.dtype()) + "; expected float32 or float64");
    }
    Tensor values = tensor.to(static_cast<Dtype>(spec.dtype));
    if (!all_finite(values)) {
        refuse(file,
               name + " has a value that is not finite in " + name_of(values.dtype()) +
                   "; expected numbers: what diverged in training is of no use, train again ('--retrain')");
    }
    return values;
}

/// A file that gives some of what is derived must give what is derived here: the rest would not belong to it.
void check_agreement(const TensorFile& file,
                     const l2o_spec& given,
                     const Tensor& tensor,
                     const Tensor& derived,
                     const std::string& missing,
                     const std::string& optimizer_id) {
    constexpr double kAgrees = 1e-3;  // chosen: a weight matrix of ALISTA's own code passes
    double difference = 0, size = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
        difference += std::pow(tensor.value(i) - derived.value(i), 2);
        size += std::pow(derived.value(i), 2);
    }
    if (difference <= kAgrees * kAgrees * size) return;
    refuse(file,
           std::string("tensor '") + given.name + "' is not what '" + optimizer_id +
               "' derives from this problem, and '" + missing +
               "', derived together with it, is not in the file; give all tensors that are derived, or none");
}

/// A file without its tensors.
TensorFile read_head(const std::filesystem::path& path) {
    return {.path = path.string(), .tensors = {}, .metadata = read_safetensors_metadata(path)};
}

}  // namespace

void write_weights(const std::filesystem::path& path,
                   const Optimizer& optimizer,
                   const TensorSet& params,
                   const std::map<std::string, std::string>& more_metadata) {
    std::map<std::string, std::string> metadata = more_metadata;
    metadata[kFormatKey] = kWeightFormat;
    metadata[kOptimizerKey] = optimizer.id();
    metadata[kOptionsKey] = optimizer.options().to_json().dump();
    metadata[kVersionKey] = optimizer.entry().plugin->version;
    metadata[kL2oKey] = L2O_VERSION;
    if (!metadata.contains(kBuildsKey)) {
        std::map<std::string, std::string> builds;
        add_build(optimizer.entry(), builds);
        metadata.merge(build_metadata(builds));
    }
    TensorRefs tensors;
    for (std::size_t i = 0; i < params.size(); ++i) {
        if (!is_derived(*optimizer.params()[i])) tensors[optimizer.params()[i]->name] = &params[i];
    }
    write_safetensors(path, tensors, sealed(tensors, metadata));
}

void add_build(const Catalog::Entry& entry, std::map<std::string, std::string>& builds) {
    const Build build = Catalog::build_of(entry);
    const std::string& name = build.id.empty() ? build.content : build.id;
    if (!name.empty()) builds[std::string(name_of(entry.component.kind)) + " " + entry.component.id] = name;
}

std::map<std::string, std::string> build_metadata(const std::map<std::string, std::string>& builds) {
    return {{kBuildsKey, nlohmann::json(builds).dump()}};
}

std::map<std::string, std::string> problem_metadata(const Optimizer& optimizer,
                                                    const Optimizee& optimizee,
                                                    const ProblemData& data) {
    std::string hashes;
    for (const int index : shared_needs(optimizer, optimizee)) {
        const Tensor& tensor = data.tensors[static_cast<std::size_t>(index)];
        hashes +=
            std::string(name_of(tensor.dtype())) + to_string(tensor.shape()) +
            sha1_hex({static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())});
    }
    return {{kProblemKey, sha1_hex(hashes)}};
}

std::string fault_of(const std::filesystem::path& path, const std::string& training_hash) try {
    const TensorFile file = read_safetensors(path);
    check_format(file);
    if (const std::string* hash = metadata(file, kTrainingHashKey); hash != nullptr && *hash != training_hash)
        return path.string() + ": metadata " + kTrainingHashKey + " is '" + *hash +
               "'; expected that of its name, '" + training_hash + "'";
    if (is_changed(file)) return path.string() + kChanged;
    return "";
} catch (const Error& error) {
    return error.what();
}

std::vector<std::string> origin_notes(const std::filesystem::path& path,
                                      const std::map<std::string, std::string>& builds) {
    const TensorFile file = read_safetensors(path);
    std::vector<std::string> notes;
    if (is_changed(file)) notes.push_back(path.string() + kChanged);
    const std::string* text = metadata(file, kBuildsKey);
    if (text == nullptr) return notes;
    nlohmann::json written;
    try {
        written = files::parse_json(*text, 1, "builds of plugins");
    } catch (const files::JsonFault&) {
        return notes;
    }
    std::string others;
    for (const auto& [plugin, build] : builds) {
        if (!written.is_object() || !written.contains(plugin) || written.at(plugin) == build) continue;
        constexpr std::size_t kDigits = 12;
        const nlohmann::json& then = written.at(plugin);
        others += (others.empty() ? "" : ", ") + plugin + " " +
                  (then.is_string() ? then.get<std::string>() : then.dump()).substr(0, kDigits) + ", here " +
                  build.substr(0, kDigits);
    }
    if (!others.empty())
        notes.push_back(path.string() + ": learned with other builds of its plugins than these: " + others +
                        "; results may differ from those of a new training");
    return notes;
}

std::string problem_note(const std::filesystem::path& path,
                         const Optimizer& optimizer,
                         const Optimizee& optimizee,
                         const ProblemData& data) {
    const TensorFile file = read_safetensors(path);
    const std::string* problem = metadata(file, kProblemKey);
    if (problem == nullptr || *problem == problem_metadata(optimizer, optimizee, data).at(kProblemKey))
        return "";
    std::string names;
    for (const int index : shared_needs(optimizer, optimizee))
        names += (names.empty() ? "" : ", ") +
                 std::string(optimizee.data()[static_cast<std::size_t>(index)]->name);
    return path.string() + ": these weights were learned for another problem: its " +
           (names.empty() ? "data" : names) +
           " had other values, sizes or precision than here; they may not suit this one";
}

std::vector<std::string> weight_notes(const std::filesystem::path& path,
                                      const Optimizer& optimizer,
                                      const Optimizee& optimizee,
                                      const ProblemData& data) {
    std::map<std::string, std::string> builds;
    add_build(optimizer.entry(), builds);
    std::vector<std::string> notes = origin_notes(path, builds);
    const std::string problem = problem_note(path, optimizer, optimizee, data);
    if (!problem.empty()) notes.push_back(problem);
    return notes;
}

std::string weight_optimizer(const std::filesystem::path& path) {
    const TensorFile file = read_head(path);
    check_format(file);
    const std::string* owner = metadata(file, kOptimizerKey);
    if (owner == nullptr)
        refuse(file,
               std::string("metadata ") + kOptimizerKey + " is missing; expected the id of an optimizer");
    return *owner;
}

std::vector<SettingText> weight_options(const std::filesystem::path& path, const std::string& optimizer_id) {
    const TensorFile file = read_head(path);
    check_owner(file, optimizer_id);
    const std::string* text = metadata(file, kOptionsKey);
    if (text == nullptr) return {};
    return settings_from(options_from_text(*text, file.path + ": metadata " + kOptionsKey),
                         {.file = file.path, .folder = absolute_path(path).parent_path()});
}

TensorSet read_weights(const std::filesystem::path& path,
                       const Optimizer& optimizer,
                       const Key& key,
                       const ProblemData& data,
                       const Optimizee* optimizee) {
    const TensorFile file = read_safetensors(path);
    check_owner(file, optimizer.id());
    std::vector<std::string> known;
    for (const l2o_spec* spec : optimizer.params()) known.emplace_back(spec->name);
    for (const auto& [name, tensor] : file.tensors) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            refuse(file,
                   "unknown tensor '" + name + "'; '" + optimizer.id() +
                       "' with these options has no such parameter" + did_you_mean(name, known));
        }
    }
    const std::string* problem = metadata(file, kProblemKey);
    const bool is_same_problem = problem == nullptr || optimizee == nullptr ||
                                 *problem == problem_metadata(optimizer, *optimizee, data).at(kProblemKey);
    std::vector<Tensor> params;
    std::string missing;  // a derived tensor that the file lacks
    for (const l2o_spec* spec : optimizer.params()) {
        const bool derives = is_derived(*spec);
        std::optional<Tensor> tensor = derives && !is_same_problem ? std::nullopt : stored(file, *spec);
        if (derives && !tensor) missing = spec->name;
        params.push_back(tensor ? std::move(*tensor) : Tensor());
    }
    if (missing.empty()) return TensorSet(std::move(params));
    std::vector<Tensor> derived = optimizer.init_params(key, data);
    for (std::size_t i = 0; i < params.size(); ++i) {
        const l2o_spec& spec = *optimizer.params()[i];
        if (!is_derived(spec)) continue;
        if (params[i]) check_agreement(file, spec, params[i], derived[i], missing, optimizer.id());
        params[i] = std::move(derived[i]);
    }
    return TensorSet(std::move(params));
}

}  // namespace l2o::framework
