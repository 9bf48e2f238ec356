#include "framework/solve/problem_file.hpp"

#include <fmt/core.h>

#include <cstring>
#include <map>
#include <optional>
#include <sstream>

#include "framework/config/options_text.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/plugin/create.hpp"
#include "framework/plugin/numbers.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/safetensors.hpp"

namespace l2o::framework {
namespace {

using Texts = std::map<std::string, std::string>;

constexpr const char* kStart = "x0";

[[noreturn]] void refuse(const std::string& file, const std::string& text) {
    throw Error(ExitCode::kUsage, file + ": " + text);
}

/// The one precision of a file's real tensors; integers have none, and alone are computed in float64.
Dtype precision_of(const TensorFile& file) {
    const std::pair<const std::string, Tensor>* first = nullptr;
    for (const auto& entry : file.tensors) {
        if (!is_real(entry.second.dtype())) continue;
        if (first == nullptr) first = &entry;
        if (first->second.dtype() == entry.second.dtype()) continue;
        refuse(file.path,
               fmt::format("tensor '{}' is {}, tensor '{}' is {}; expected one precision, which is the one "
                           "computed in",
                           first->first,
                           name_of(first->second.dtype()),
                           entry.first,
                           name_of(entry.second.dtype())));
    }
    return first == nullptr ? Dtype::kF64 : first->second.dtype();
}

Texts given_options(const TensorFile& file) {
    const auto found = file.metadata.find("l2o.options");
    if (found == file.metadata.end()) return {};
    const std::string where = file.path + ": metadata 'l2o.options'";
    return options_from_text(found->second, where);
}

std::vector<std::string> axis_names(const l2o_spec& spec) {
    std::vector<std::string> names;
    std::istringstream stream(spec.axes == nullptr ? "" : spec.axes);
    for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
    return names;
}

/// "[B, m]": what a tensor's shape should be in words.
std::string shape_in_words(const l2o_spec& spec) {
    std::string text = has(spec, L2O_SPEC_BATCHED) ? "B" : "";
    const std::vector<std::string> names = axis_names(spec);
    for (std::size_t i = 0; i < static_cast<std::size_t>(spec.ndim); ++i) {
        text += text.empty() ? "" : ", ";
        text += i < names.size() ? names[i] : std::to_string(spec.shape[i]);
    }
    return "[" + text + "]";
}

/// A size that the shape of a tensor gives to an option.
struct Inferred {
    std::int64_t size = 0;
    std::string tensor{}, shape{};  ///< where from: "A", "[m, n]"
};

/// Options that follow from the shapes: an axis named like an integer option has its value.
std::map<std::string, Inferred> infer_options(const Optimizee& probe,
                                              const TensorFile& file,
                                              const Texts& given) {
    std::map<std::string, Inferred> inferred;
    const auto take = [&](const std::string& axis, std::int64_t size, const Inferred& from) {
        bool is_option = false;
        for (const OptionSchema& option : probe.entry().component.options)
            is_option = is_option || (option.key == axis && option.type == L2O_OPTION_INT);
        if (!is_option) return;
        if (const auto text = given.find(axis); text != given.end() && text->second != std::to_string(size)) {
            refuse(file.path,
                   fmt::format("option '{}' of metadata 'l2o.options' is {}, but axis '{}' of tensor '{}' {} "
                               "has size {}",
                               axis,
                               text->second,
                               axis,
                               from.tensor,
                               from.shape,
                               size));
        }
        const auto [known, is_new] = inferred.try_emplace(axis, from);
        if (is_new || known->second.size == size) return;
        refuse(file.path,
               fmt::format("tensor '{}' {} has {} = {}, but tensor '{}' {} has {} = {}",
                           known->second.tensor,
                           known->second.shape,
                           axis,
                           known->second.size,
                           from.tensor,
                           from.shape,
                           axis,
                           size));
    };
    for (const l2o_spec* spec : probe.data()) {
        const auto found = file.tensors.find(spec->name);
        if (found == file.tensors.end()) continue;
        const Shape& shape = found->second.shape();
        const std::size_t skip = has(*spec, L2O_SPEC_BATCHED) ? 1 : 0;
        if (shape.size() != static_cast<std::size_t>(spec->ndim) + skip) {
            refuse(file.path,
                   fmt::format("tensor '{}' has shape {}; expected {}",
                               spec->name,
                               to_string(shape),
                               shape_in_words(*spec)));
        }
        const std::vector<std::string> names = axis_names(*spec);
        for (std::size_t i = 0; i < names.size() && skip + i < shape.size(); ++i) {
            const std::int64_t size = shape[skip + i];
            take(names[i], size, {.size = size, .tensor = spec->name, .shape = shape_in_words(*spec)});
        }
    }
    return inferred;
}

/// A number that a file gives twice, as a tensor and as an option, has to be one number.
void check_agreement(const TensorFile& file, const Texts& given) {
    for (const auto& [key, text] : given) {
        const auto tensor = file.tensors.find(key);
        const std::optional<double> number = parse_real(text);
        if (tensor == file.tensors.end() || !number) continue;
        const bool is_single = tensor->second.dtype() == Dtype::kF32;
        const double expected = is_single ? double(static_cast<float>(*number)) : *number;
        for (std::int64_t i = 0; i < tensor->second.size(); ++i) {
            if (tensor->second.value(i) == expected) continue;
            refuse(
                file.path,
                fmt::format("tensor '{}'{} is {}, and option '{}' of metadata 'l2o.options' is {}; expected "
                            "one of them, or the same number",
                            key,
                            place_text(tensor->second, i),
                            number_text(tensor->second, i),
                            key,
                            text));
        }
    }
}

/// The starts of a file, checked.
Tensor take_start(TensorFile& file, const Optimizee& optimizee, ProblemData& data) {
    const auto found = file.tensors.find(kStart);
    if (found == file.tensors.end()) return {};
    Tensor start = std::move(found->second);
    file.tensors.erase(found);
    const std::int64_t n = variables_of(optimizee);
    bool has_instances = false;
    for (const l2o_spec* spec : optimizee.data())
        has_instances = has_instances || has(*spec, L2O_SPEC_BATCHED);
    // Without data of its own per instance, a problem has as many instances as starts.
    if (!has_instances && start.shape().size() == 2) data.instances = start.shape()[0];
    if (start.shape() != Shape{data.instances, n}) {
        refuse(file.path,
               fmt::format("tensor 'x0' is {} {}; expected {} {}: a start per instance, all blocks one after "
                           "the other",
                           name_of(start.dtype()),
                           to_string(start.shape()),
                           name_of(optimizee.dtype()),
                           to_string(Shape{data.instances, n})));
    }
    return numbers_of(start, optimizee.dtype(), file.path + ": tensor 'x0'");
}

}  // namespace

std::int64_t variables_of(const Optimizee& optimizee) {
    std::int64_t n = 0;
    for (const l2o_spec* spec : optimizee.blocks())
        n += element_count(Shape(spec->shape, spec->shape + spec->ndim));
    return n;
}

std::vector<Tensor> split_blocks(const Tensor& x0, const Optimizee& optimizee) {
    std::vector<Tensor> blocks;
    const std::int64_t batch = x0.shape()[0], n = x0.shape()[1], bytes = bytes_of(x0.dtype());
    std::int64_t offset = 0;
    for (const l2o_spec* spec : optimizee.blocks()) {
        blocks.emplace_back(x0.dtype(), shape_of(*spec, batch));
        const std::int64_t size = batch == 0 ? 0 : blocks.back().size() / batch;
        for (std::int64_t row = 0; row < batch; ++row) {
            std::memcpy(static_cast<std::byte*>(blocks.back().data()) + row * size * bytes,
                        static_cast<const std::byte*>(x0.data()) + (row * n + offset) * bytes,
                        static_cast<std::size_t>(size * bytes));
        }
        offset += size;
    }
    return blocks;
}

ProblemFile read_problem(const Catalog& catalog, const std::filesystem::path& path) {
    TensorFile file = read_safetensors(path);
    const auto id = file.metadata.find("l2o.optimizee");
    if (id == file.metadata.end()) {
        refuse(file.path,
               "metadata 'l2o.optimizee' is missing; expected the id of an optimizee, see 'l2o list "
               "optimizees'");
    }
    const Catalog::Entry* entry = nullptr;
    try {
        entry = &catalog.find(Kind::kOptimizee, id->second);
    } catch (const Error& error) {
        throw Error(error.code(), file.path + ": metadata 'l2o.optimizee': " + error.what());
    }
    const Dtype dtype = precision_of(file);
    const Texts given = given_options(file);
    const OptionContext context{.origin = file.path,
                                .path = "l2o.options",
                                .kind = name_of(Kind::kOptimizee),
                                .id = entry->component.id};
    const auto create = [&](const std::map<std::string, Inferred>& inferred) {
        const std::filesystem::path folder = absolute_path(path).parent_path();
        std::vector<SettingText> settings;
        for (const auto& [key, size] : inferred) {
            settings.push_back({.key = key,
                                .text = std::to_string(size.size),
                                .origin = {.file = file.path + ": shape of '" + size.tensor + "'"}});
        }
        for (SettingText& setting : settings_from(given, {.file = file.path, .folder = folder}))
            settings.push_back(std::move(setting));
        ResolvedOptions options = resolve_options(entry->component.options, settings, context);
        try {
            return std::make_unique<const Optimizee>(*entry, std::move(options), dtype);
        } catch (const Refusal& refusal) {
            throw Error(refusal.code(), file.path + ": " + refusal.what());
        }
    };

    ProblemFile problem;
    problem.optimizee = create({});
    if (const auto inferred = infer_options(*problem.optimizee, file, given); !inferred.empty())
        problem.optimizee = create(inferred);
    check_agreement(file, given);
    TensorFile rest{.path = file.path, .tensors = {}, .metadata = {}};
    if (auto start = file.tensors.extract(kStart)) rest.tensors.insert(std::move(start));
    problem.data = problem.optimizee->bind(file.tensors, file.path);
    problem.x0 = take_start(rest, *problem.optimizee, problem.data);
    return problem;
}

}  // namespace l2o::framework
