#include "framework/plugin/optimizee.hpp"

#include <algorithm>
#include <cstring>

#include "framework/cancel.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/plugin/create.hpp"
#include "framework/plugin/numbers.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

bool is_solution(const l2o_spec& spec) { return has(spec, L2O_SPEC_SOLUTION); }
bool is_by_solve(const l2o_spec& spec) { return has(spec, L2O_SPEC_BY_SOLVE); }
bool is_batched(const l2o_spec& spec) { return has(spec, L2O_SPEC_BATCHED); }

Tensor make(const l2o_spec& spec, std::int64_t batch) { return {dtype_of(spec), shape_of(spec, batch)}; }

/// The option that has the name of a tensor of one number per instance, or one for all; NULL: there is none.
const OptionSchema* option_of(const l2o_spec& spec, const ComponentDescription& component) {
    if (spec.ndim != 0) return nullptr;
    for (const OptionSchema& option : component.options)
        if (option.key == spec.name && (option.type == L2O_OPTION_REAL || option.type == L2O_OPTION_INT))
            return &option;
    return nullptr;
}

std::vector<l2o_tensor*> writable(std::vector<Tensor>& tensors) {
    std::vector<l2o_tensor*> out;
    for (Tensor& tensor : tensors) out.push_back(tensor.abi());
    return out;
}

// Of one call: between two of them somebody may interrupt.
constexpr std::int64_t kRowsAtOnce = 1024;

void check_interrupted(std::int64_t rows_done, const std::string& id) {
    if (rows_done > 0 && cancel_flag().load() != 0)
        throw Error(ExitCode::kInterrupted, "drawing instances of '" + id + "' was interrupted");
}

/// @param has_shared  whether what all instances share is there already
void draw(const Optimizee& optimizee,
          const Key& key,
          Split split,
          std::uint64_t first,
          ProblemData& data,
          bool has_shared) {
    CallContext call;
    const std::string who = "optimizee '" + optimizee.id() + "'";
    const auto count = static_cast<std::uint32_t>(data.instances);
    std::vector<l2o_tensor*> drawn = writable(data.tensors);
    const std::vector<const l2o_tensor*> structure(drawn.begin(), drawn.end());
    std::vector<l2o_tensor*> solved = drawn;
    bool solves = false;
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        const l2o_spec& spec = *optimizee.data()[i];
        (is_by_solve(spec) ? drawn : solved)[i] = nullptr;
        solves = solves || solved[i] != nullptr;
        if (has_shared && !is_batched(spec)) drawn[i] = nullptr;
    }
    const l2o_optimizee_api& api = optimizee.api();
    call.check(
        api.sample(
            optimizee.raw(), call.with(key), static_cast<std::int32_t>(split), first, count, drawn.data()),
        who);
    if (solves && api.solve != nullptr)
        call.check(api.solve(optimizee.raw(), call.with(key), count, structure.data(), solved.data()), who);
}

}  // namespace

Optimizee::Optimizee(const Catalog::Entry& entry, ResolvedOptions options, Dtype dtype)
    : entry_(entry),
      id_(entry.component.id),
      options_(std::move(options)),
      dtype_(dtype),
      api_(Catalog::load(entry).optimizee),
      instance_(nullptr, api_.destroy) {
    const std::string who = "optimizee '" + id_ + "'";
    const ProcessWatch watch(who);
    const l2o_optimizee_setting setting{sizeof setting, static_cast<std::uint32_t>(dtype)};
    create(instance_, api_, options_, setting, who);
    read_declarations();
}

Optimizee::Optimizee(const Optimizee& like, const l2o_optimizee_api& api, l2o_optimizee* instance)
    : entry_(like.entry_),
      id_(like.id_),
      options_(like.options_.clone()),
      dtype_(like.dtype_),
      api_(api),
      instance_(instance, api_.destroy) {
    read_declarations();
}

void Optimizee::read_declarations() {
    const std::string who = "optimizee '" + id_ + "'";
    const auto read = [&](Specs& specs, std::uint32_t count, const char* what, auto function) {
        specs.read(count, who, what, [&](std::uint32_t i) { return function(raw(), i); });
    };
    info_ = normalised(*api_.info(raw()));
    if (info_.n_blocks == 0)
        throw Error(ExitCode::kPlugin, who + " has no block; expected at least one variable");
    check_cost(info_.cost_value, "cost_value", who);
    check_cost(info_.cost_gradient, "cost_gradient", who);
    check_cost(info_.cost_hvp, "cost_hvp", who);
    check_cost(info_.cost_prox, "cost_prox", who);
    read(blocks_, info_.n_blocks, "block_spec", api_.block_spec);
    read(data_, info_.n_data, "data_spec", api_.data_spec);
    read(metrics_, info_.n_metrics, "metric_spec", api_.metric_spec);
}

std::optional<std::size_t> Optimizee::data_index(const std::string& name) const {
    for (std::size_t i = 0; i < data_.all().size(); ++i) {
        if (data_.all()[i]->name == name) return i;
    }
    return std::nullopt;
}

ProblemData Optimizee::sample(const Key& key,
                              Split split,
                              std::uint64_t first,
                              std::int64_t count,
                              bool with_solutions,
                              const ProblemData* shared) const {
    ProblemData data{.instances = count, .tensors = {}};
    for (std::size_t i = 0; i < data_.all().size(); ++i) {
        const l2o_spec& spec = *data_.all()[i];
        if (shared != nullptr && !is_batched(spec) && shared->tensors[i]) {
            const Tensor& tensor = shared->tensors[i];
            data.tensors.push_back(
                Tensor::borrow(tensor.dtype(), tensor.shape(), const_cast<void*>(tensor.data())));
        } else {
            data.tensors.push_back(is_solution(spec) && !with_solutions ? Tensor() : make(spec, count));
        }
    }
    const auto lock = guard();
    for (std::int64_t begin = 0; begin == 0 || begin < count; begin += kRowsAtOnce) {
        check_interrupted(begin, id_);
        ProblemData part = slice(data, *this, begin, std::min(kRowsAtOnce, count - begin));
        draw(*this,
             key,
             split,
             first + static_cast<std::uint64_t>(begin),
             part,
             shared != nullptr || begin > 0);
    }
    return data;
}

ProblemData Optimizee::bind(const std::map<std::string, Tensor>& tensors, const std::string& where) const {
    const auto fail = [&](const std::string& text) { throw Error(ExitCode::kUsage, where + ": " + text); };
    ProblemData data;
    std::vector<std::string> known;
    for (const l2o_spec* spec : data_.all()) known.emplace_back(spec->name);
    for (const auto& [name, tensor] : tensors) {
        if (!data_index(name)) {
            fail("unknown tensor '" + name + "' for '" + id_ + "'" + did_you_mean(name, known));
        }
    }
    for (const l2o_spec* spec : data_.all()) {
        const auto found = tensors.find(spec->name);
        if (is_batched(*spec) && found != tensors.end() && !found->second.shape().empty()) {
            const std::int64_t rows = found->second.shape()[0];
            if (rows == 0) fail("tensor '" + found->first + "' has 0 instances; expected one or more");
            if (data.instances != 0 && data.instances != rows) {
                fail("tensor '" + found->first + "' has " + std::to_string(rows) +
                     " instances, others have " + std::to_string(data.instances));
            }
            data.instances = rows;
        }
    }
    if (data.instances == 0) data.instances = 1;
    const std::map<std::string, std::string> options = options_.canonical();
    // The option's own check of its text, of the given number and of what the precision makes of it.
    const auto check_range =
        [&](const OptionSchema& option, const Tensor& given, const Tensor& rounded, const std::string& what) {
            const OptionContext context{
                .origin = where, .path = "l2o.options", .kind = name_of(Kind::kOptimizee), .id = id_};
            for (std::int64_t i = 0; i < given.size(); ++i) {
                for (const Tensor* tensor : {&given, &rounded}) {
                    const std::string place =
                        what + place_text(*tensor, i) + " in " + name_of(tensor->dtype());
                    const SettingText setting{.key = option.key,
                                              .text = number_text(*tensor, i),
                                              .origin = {.file = where + ": " + place}};
                    (void)resolve_options({&option, 1}, {&setting, 1}, context);
                }
            }
        };
    for (const l2o_spec* spec : data_.all()) {
        const Dtype dtype = dtype_of(*spec);
        const OptionSchema* option = is_real(dtype) ? option_of(*spec, entry_.component) : nullptr;
        const auto found = tensors.find(spec->name);
        if (found == tensors.end()) {
            // A number that is an option may be left out of a file: lambda.
            if (option != nullptr && !is_batched(*spec)) {
                Tensor given(Dtype::kF64, {});
                given.values<double>()[0] = parse_real(options.at(option->key)).value();
                data.tensors.push_back(given.to(dtype));
                check_range(*option, given, data.tensors.back(), "option '" + option->key + "'");
                continue;
            }
            if (!is_solution(*spec)) {
                fail("tensor '" + std::string(spec->name) + "' " +
                     to_string(shape_of(*spec, data.instances)) + " is missing; '" + id_ +
                     "' needs it: " + spec->doc);
            }
            data.tensors.emplace_back();
            continue;
        }
        const Shape expected = shape_of(*spec, data.instances);
        const Tensor& tensor = found->second;
        const std::string who = "tensor '" + found->first + "'";
        if (tensor.shape() != expected)
            fail(who + " has shape " + to_string(tensor.shape()) + "; expected " + to_string(expected));
        if (tensor.dtype() != dtype && !is_real(dtype))
            fail(who + " is " + name_of(tensor.dtype()) + "; expected " + name_of(dtype));
        if (option != nullptr) check_range(*option, tensor, tensor, who);
        data.tensors.push_back(is_real(dtype) ? numbers_of(tensor, dtype, where + ": " + who)
                                              : tensor.clone());
        if (option != nullptr) check_range(*option, tensor, data.tensors.back(), who);
    }
    return data;
}

std::vector<Tensor> Optimizee::init_point(const Key& key, std::uint64_t row0, const ProblemData& data) const {
    std::vector<Tensor> x;
    for (const l2o_spec* spec : blocks_.all()) x.push_back(make(*spec, data.instances));
    CallContext call;
    const auto lock = guard();
    for (std::int64_t begin = 0; begin == 0 || begin < data.instances; begin += kRowsAtOnce) {
        check_interrupted(begin, id_);
        const std::int64_t rows = std::min(kRowsAtOnce, data.instances - begin);
        const ProblemData part = slice(data, *this, begin, rows);
        std::vector<Tensor> at;
        for (Tensor& block : x) at.push_back(block.rows(begin, rows));
        call.check(api_.init_point(raw(),
                                   call.with(key, row0 + static_cast<std::uint64_t>(begin)),
                                   static_cast<std::uint32_t>(rows),
                                   abi_data(part).data(),
                                   writable(at).data()),
                   "optimizee '" + id_ + "'");
    }
    return x;
}

std::unique_lock<std::mutex> Optimizee::guard() const {
    return (info_.flags & L2O_FLAG_SERIAL) != 0 ? std::unique_lock(serial_) : std::unique_lock<std::mutex>();
}

ProblemData slice(const ProblemData& data,
                  const Optimizee& optimizee,
                  std::int64_t first,
                  std::int64_t count) {
    ProblemData part{.instances = count, .tensors = {}};
    for (std::size_t i = 0; i < data.tensors.size(); ++i) {
        const Tensor& tensor = data.tensors[i];
        if (!tensor) {
            part.tensors.emplace_back();
        } else if (is_batched(*optimizee.data()[i])) {
            part.tensors.push_back(tensor.rows(first, count));
        } else {
            part.tensors.push_back(
                Tensor::borrow(tensor.dtype(), tensor.shape(), const_cast<void*>(tensor.data())));
        }
    }
    return part;
}

ProblemData repeat(const ProblemData& data, const Optimizee& optimizee, std::int64_t times) {
    ProblemData repeated = slice(data, optimizee, 0, data.instances);
    if (times == 1) return repeated;
    repeated.instances = element_count({data.instances, times});
    for (std::size_t i = 0; i < data.tensors.size(); ++i) {
        if (!data.tensors[i] || !is_batched(*optimizee.data()[i])) continue;
        const Tensor& from = data.tensors[i];
        Shape shape = from.shape();
        shape[0] *= times;
        Tensor to(from.dtype(), shape);
        const auto row_bytes =
            static_cast<std::size_t>(from.bytes() / std::max<std::int64_t>(from.shape()[0], 1));
        const auto* source = static_cast<const std::byte*>(from.data());
        auto* target = static_cast<std::byte*>(to.data());
        for (std::int64_t row = 0; row < shape[0]; ++row) {
            std::memcpy(target + static_cast<std::size_t>(row) * row_bytes,
                        source + static_cast<std::size_t>(row / times) * row_bytes,
                        row_bytes);
        }
        repeated.tensors[i] = std::move(to);
    }
    return repeated;
}

std::vector<const l2o_tensor*> abi_data(const ProblemData& data) {
    std::vector<const l2o_tensor*> out;
    for (const Tensor& tensor : data.tensors) out.push_back(tensor.abi());
    return out;
}

}  // namespace l2o::framework
