#include "framework/weights/weights.hpp"

#include <algorithm>
#include <cmath>
#include <l2o/files/json.hpp>
#include <optional>

#include "framework/config/options_text.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/store/hash.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kFormatKey = "l2o.format";
constexpr const char* kOptimizerKey = "l2o.optimizer";
constexpr const char* kOptionsKey = "l2o.options";
constexpr const char* kVersionKey = "l2o.plugin_version";
constexpr const char* kProblemKey = "l2o.problem";
constexpr const char* kBuildsKey = "l2o.builds";
constexpr const char* kL2oKey = "l2o.version";
constexpr const char* kTrainingHashKey = "l2o.training_hash";
constexpr const char* kSecondsKey = "l2o.training_seconds";
constexpr const char* kTrainingKey = "l2o.training";

[[noreturn]] void refuse(const TensorFile& file, const std::string& text) {
    throw Error(ExitCode::kUsage, file.path + ": " + text);
}

const std::string* metadata(const TensorFile& file, const std::string& key) {
    const auto found = file.metadata.find(key);
    return found == file.metadata.end() ? nullptr : &found->second;
}

/// @throw Error kUsage if it is missing or something else
void check_metadata(const TensorFile& file,
                    const std::string& key,
                    const std::string& value,
                    const std::string& expected) {
    const std::string* text = metadata(file, key);
    if (text != nullptr && *text == value) return;
    refuse(file,
           "metadata " + key + " is " + (text == nullptr ? "missing" : "'" + *text + "'") + "; expected " +
               expected);
}

void check_format(const TensorFile& file) {
    check_metadata(file, kFormatKey, kWeightFormat, std::string("'") + kWeightFormat + "', a weight file");
}

void check_owner(const TensorFile& file, const std::string& optimizer_id) {
    check_format(file);
    check_metadata(file, kOptimizerKey, optimizer_id, "weights of '" + optimizer_id + "'");
}

bool is_derived(const l2o_spec& spec) { return has(spec, L2O_SPEC_DERIVED); }

/// Indices of the data that an optimizer needs and all instances share.
std::vector<int> shared_needs(const Optimizer& optimizer, const Optimizee& optimizee) {
    std::vector<int> indices;
    for (const int index : optimizer.needs()) {
        if (index >= 0 && !has(*optimizee.data()[static_cast<std::size_t>(index)], L2O_SPEC_BATCHED))
            indices.push_back(index);
    }
    return indices;
}

constexpr const char* kChanged =
    ": has been changed or damaged since it was written: its checksum is another one";

/// The checksum came with kL2oKey: a file that has but the one has lost the other.
bool is_changed(const TensorFile& file) {
    return (file.metadata.contains(kSealKey) || file.metadata.contains(kL2oKey)) && !is_sealed(file);
}

void check_names(const TensorFile& file, const Optimizer& optimizer) {
    std::vector<std::string> known;
    for (const l2o_spec* spec : optimizer.params()) known.emplace_back(spec->name);
    if (file.tensors.empty() &&
        !std::ranges::all_of(optimizer.params(), [](auto spec) { return is_derived(*spec); }))
        refuse(file,
               "has no tensors; expected those of '" + optimizer.id() + "', as 'l2o train' writes them" +
                   did_you_mean("", known));
    for (const auto& [name, tensor] : file.tensors) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            refuse(file,
                   "unknown tensor '" + name + "'; '" + optimizer.id() +
                       "' with these options has no such parameter" + did_you_mean(name, known));
        }
    }
}

std::string options_json(const Optimizer& optimizer) { return optimizer.options().to_json().dump(); }

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
    Tensor values = tensor.to(dtype_of(spec));
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

/// "hidden 4, here 8": options that its metadata has otherwise.
std::string other_options(const TensorFile& file, const Optimizer& optimizer) {
    const std::string* text = metadata(file, kOptionsKey);
    if (text == nullptr) return "";
    const std::map<std::string, std::string> here = optimizer.options().canonical();
    std::string others;
    for (const auto& [key, then] : options_from_text(*text, file.path + ": metadata " + kOptionsKey)) {
        const auto now = here.find(key);
        if (now == here.end() || now->second == then) continue;
        if (const auto number = parse_real(then); number && number == parse_real(now->second)) continue;
        others += (others.empty() ? "" : ", ") + key + " " + then + ", here " + now->second;
    }
    return others;
}

/// Names and shapes, and why those are others.
void check_fit(const TensorFile& file, const Optimizer& optimizer) try {
    check_names(file, optimizer);
    for (const l2o_spec* spec : optimizer.params())
        if (!is_derived(*spec)) static_cast<void>(stored(file, *spec));
} catch (const Error& error) {
    const std::string others = other_options(file, optimizer);
    if (others.empty()) throw;
    throw Error(error.code(),
                std::string(error.what()) + "; these weights were learned with other options: " + others);
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
    metadata[kOptionsKey] = options_json(optimizer);
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

std::map<std::string, std::string> known_builds(const Catalog& catalog) {
    std::map<std::string, std::string> builds;
    for (const Catalog::Entry& entry : catalog.entries()) add_build(entry, builds);
    return builds;
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

std::map<std::string, std::string> training_metadata(const std::string& hash,
                                                     double seconds,
                                                     const TrainingOutcome& outcome) {
    return {{kTrainingHashKey, hash},
            {kSecondsKey, format_real(seconds)},
            {kTrainingKey, to_json(outcome).dump()}};
}

std::optional<TrainingOutcome> training_of(const TensorFile& file) {
    const std::string* text = metadata(file, kTrainingKey);
    if (text == nullptr) return std::nullopt;
    std::optional<TrainingOutcome> outcome;
    try {
        outcome = outcome_from_json(files::parse_json(*text, 2, "a training and its validation"));
    } catch (const files::JsonFault&) {
        // Refused as any other text.
    }
    if (!outcome)
        refuse(file,
               std::string("metadata ") + kTrainingKey + " is '" + *text +
                   "'; expected what 'l2o train' writes there");
    return outcome;
}

double training_seconds(const TensorFile& file) {
    const std::string* text = metadata(file, kSecondsKey);
    return text == nullptr ? 0 : parse_real(*text).value_or(0);
}

FoundWeights found_weights(const std::filesystem::path& path,
                           const std::string& training_hash,
                           const Optimizer& optimizer) {
    FoundWeights found;
    try {
        found.file = read_safetensors(path);
        check_owner(found.file, optimizer.id());
        const std::string* hash = metadata(found.file, kTrainingHashKey);
        if (hash == nullptr || *hash != training_hash)
            refuse(found.file,
                   std::string("belongs to another training (its configuration, plugin version or seed "
                               "differs): metadata ") +
                       kTrainingHashKey + " is " + (hash == nullptr ? "missing" : "'" + *hash + "'") +
                       "; expected '" + training_hash + "'");
        if (is_changed(found.file)) throw Error(ExitCode::kUsage, path.string() + kChanged);
        if (!found.file.metadata.contains(kSealKey))
            refuse(
                found.file,
                std::string("metadata ") + kSealKey + " is missing; expected what 'l2o train' writes there");
        const std::string options = options_json(optimizer);
        check_metadata(found.file, kOptionsKey, options, "'" + options + "'");
        check_names(found.file, optimizer);
        for (const l2o_spec* spec : optimizer.params()) static_cast<void>(stored(found.file, *spec));
        static_cast<void>(training_of(found.file));
    } catch (const Error& error) {
        found.fault = error.what();
        found.code = error.code();
    }
    return found;
}

std::vector<std::string> origin_notes(const TensorFile& file,
                                      const std::map<std::string, std::string>& builds) {
    std::vector<std::string> notes;
    if (is_changed(file)) notes.push_back(file.path + kChanged);
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
        notes.push_back(file.path + ": learned with other builds of its plugins than these: " + others +
                        "; results may differ from those of a new training");
    return notes;
}

std::string problem_note(const TensorFile& file,
                         const Optimizer& optimizer,
                         const Optimizee& optimizee,
                         const ProblemData& data) {
    const std::string* problem = metadata(file, kProblemKey);
    if (problem == nullptr || *problem == problem_metadata(optimizer, optimizee, data).at(kProblemKey))
        return "";
    std::string names;
    for (const int index : shared_needs(optimizer, optimizee))
        names += (names.empty() ? "" : ", ") +
                 std::string(optimizee.data()[static_cast<std::size_t>(index)]->name);
    return file.path + ": these weights were learned for another problem: its " +
           (names.empty() ? "data" : names) +
           " had other values, sizes or precision than here; they may not suit this one";
}

std::string option_note(const TensorFile& file, const Optimizer& optimizer) {
    const std::string others = other_options(file, optimizer);
    if (others.empty()) return "";
    return file.path + ": these weights were learned with other options: " + others +
           "; they may not suit these";
}

std::vector<std::string> weight_notes(const TensorFile& file,
                                      const std::map<std::string, std::string>& builds,
                                      const Optimizer& optimizer,
                                      const Optimizee& optimizee,
                                      const ProblemData& data) {
    std::vector<std::string> notes = origin_notes(file, builds);
    if (const std::string problem = problem_note(file, optimizer, optimizee, data); !problem.empty())
        notes.push_back(problem);
    if (const std::string options = option_note(file, optimizer); !options.empty()) notes.push_back(options);
    if (const std::optional<TrainingOutcome> training = training_of(file))
        for (const std::string& remark : remarks_on(*training))
            notes.push_back(file.path + ": of its training: " + remark);
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

TensorSet read_weights(const TensorFile& file,
                       const Optimizer& optimizer,
                       const Key& key,
                       const ProblemData& data,
                       const Optimizee* optimizee) {
    check_owner(file, optimizer.id());
    check_fit(file, optimizer);
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
