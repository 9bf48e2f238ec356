#include "framework/experiment/kept_curves.hpp"

#include <span>

#include "framework/evaluate/curve_file.hpp"
#include "framework/store/hash.hpp"
#include "framework/text/json.hpp"

namespace l2o::framework {

std::string KeptCurves::hash_of_all() const {
    Checksum checksum;
    for (const Entrant& entrant : state_.entrants) checksum.add(hash_of(entrant));
    return checksum.hex();
}

std::string KeptCurves::hash_of(const Entrant& entrant) const {
    Checksum checksum;
    for (const std::string& text : {state_.experiment.hash,
                                    entrant.contestant->name,
                                    state_.options.build.version,
                                    state_.options.build.type,
                                    state_.options.build.flags})
        checksum.add(text);
    const auto add_build = [&](const Catalog::Entry& entry) {
        const Build build = Catalog::build_of(entry);
        checksum.add(build.id + " " + build.content);
    };
    const auto add = [&](std::span<const Tensor> tensors) {
        for (const Tensor& tensor : tensors) {
            if (!tensor) continue;
            checksum.add(name_of(tensor.dtype()) + to_string(tensor.shape()));
            checksum.add({static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())});
        }
    };
    add_build(state_.optimizee.entry());
    add(state_.test.rows.tensors);
    add(state_.test.x0);
    const auto add_optimizer = [&](const Optimizer* optimizer, const TensorSet& params) {
        if (optimizer == nullptr) return checksum.add("");
        add_build(optimizer->entry());
        checksum.add(optimizer->options().to_json().dump());  // those of given weights are in their file
        add(params.tensors());
    };
    add_optimizer(entrant.optimizer.get(), entrant.params);
    add_optimizer(entrant.continue_with.get(), entrant.continue_params);
    add_optimizer(entrant.classic.get(), entrant.classic_params);
    return checksum.hex();
}

std::optional<Curve> KeptCurves::find(const std::filesystem::path& file,
                                      const Entrant& entrant,
                                      const EvaluateSettings& settings) const {
    if (state_.options.resume.empty() || !std::filesystem::exists(file)) return std::nullopt;
    std::optional<Curve> curve = read_curve(file, hash_of(entrant));
    const std::int64_t rows = settings.instances * settings.starts;
    const std::string metric = curve ? curve->metrics[shown_metric(curve->metrics, settings.metric)] : "";
    if (curve &&
        (std::ssize(curve->final_rows.front()) != rows || curve->metrics != metric_names(state_.optimizee) ||
         curve->staircases.empty() == reaches_by_payment(metric, state_.optimizee)))
        curve.reset();
    if (!curve)
        state_.note(file.string() + ": not of this configuration, these weights and these plugins; '" +
                    entrant.contestant->name + "' is evaluated again");
    return curve;
}

}  // namespace l2o::framework
