#include "framework/experiment/contestants.hpp"

#include <algorithm>
#include <utility>

#include "framework/error.hpp"
#include "framework/evaluate/entries.hpp"
#include "framework/experiment/section_schemas.hpp"
#include "framework/experiment/train_section.hpp"
#include "framework/plugin/choice.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kUntrainedKey = "untrained";

[[noreturn]] void refuse(const std::string& text) { throw Error(ExitCode::kUsage, text); }

TuneSettings read_tune(const Section& contestant, const Contestant& swept) {
    const Settings section(contestant.child("tune"), tune_schema());
    enum class On { kValidation };
    static_cast<void>(section.get_choice<On>("on"));
    if (without_seed(swept.swept).empty())
        refuse(contestant.where("tune") + ": nothing is swept in '" + swept.group +
               "'; expected a sweep of what is to be tuned, such as 'learning_rate { sweep log 1e-3 1 7 }'");
    return {.instances = section.get_int("instances"),
            .starts = section.get_int("starts"),
            .metric = section.get_text("metric")};
}

/// Whether the optimizer of a contestant has parameters to learn.
bool is_learned(const Catalog& catalog, const ConfigNode& node, const std::string& path) {
    const ConfigNode* optimizer = node.find("optimizer");
    const ConfigNode* use = optimizer != nullptr ? optimizer->find("use") : nullptr;
    if (use == nullptr) {
        const ConfigNode& nearest = optimizer != nullptr ? *optimizer : node;
        refuse(nearest.origin.text() + ": " + path + ".optimizer" + (optimizer != nullptr ? ".use" : "") +
               " is missing; expected 'optimizer { use ID }'" + known_plugins(catalog, Kind::kOptimizer));
    }
    if (use->is_sweep()) {
        refuse(use->find(kSweepKey)->origin.text() + ": " + path +
               ".optimizer.use: a sweep of optimizers; expected a contestant for each of them");
    }
    return find_at(catalog, Kind::kOptimizer, use->value, use->origin.text() + ": " + path + ".optimizer.use")
        .component.has_tag("learned");
}

void refuse_key(const ConfigNode& node,
                const std::string& path,
                const std::string& key,
                const std::string& reason) {
    if (const ConfigNode* found = node.find(key))
        refuse(found->origin.text() + ": " + path + "." + key + ": " + reason);
}

/// Whether a contestant is to run from the values that its parameters have before training.
bool is_untrained(const ConfigNode& node, const std::string& path) {
    const ConfigNode* setting = node.find(kUntrainedKey);
    if (setting == nullptr) return false;
    if (!setting->children.empty() || (setting->value != "true" && setting->value != "false"))
        refuse(setting->origin.text() + ": " + path + "." + kUntrainedKey + " is '" +
               (setting->is_sweep() ? setting->find(kSweepKey)->value : setting->value) +
               "'; expected true or false");
    return setting->value == "true";
}

void check_length(const ConfigNode& node) {
    if (can_name_file(node.key)) return;
    refuse(node.origin.text() + ": the name of the contestant '" + node.key +
           "' has more than 200 bytes or a control character, and files are named after it; expected "
           "letters, digits, '_' and '-'");
}

}  // namespace

bool can_name_file(const std::string& name) {
    constexpr std::size_t kMaxBytes = 200;  // of the 255 that file systems take, with what is added
    return name.size() <= kMaxBytes && one_line(name) == name && text_fault(name).empty();
}

void refuse_other_keys(const ConfigNode& node,
                       const std::string& path,
                       const std::vector<std::string>& known) {
    for (const ConfigNode& child : node.children) {
        if (std::find(known.begin(), known.end(), child.key) != known.end()) continue;
        refuse(child.origin.text() + ": unknown key '" + (path.empty() ? "" : path + ".") + child.key + "'" +
               did_you_mean(child.key, known));
    }
}

std::vector<Member> members_of_written(const Catalog& catalog,
                                       const ConfigNode& node,
                                       const ConfigNode* train) {
    const std::string path = "contestants." + node.key;
    if (node.key.find('/') != std::string::npos) {
        refuse(
            node.origin.text() + ": the contestant '" + node.key +
            "' has a '/' in its name, and files are named after it; expected letters, digits, '_' and '-'");
    }
    check_length(node);
    refuse_other_keys(
        node,
        path,
        {"optimizer", "continue_with", "restarts", "safeguard", "train", "tune", kUntrainedKey, "weights"});
    // What has its weights, or needs none, does not sweep what others are trained with.
    if (!is_learned(catalog, node, path)) {
        const std::string optimizer = "'" + node.find("optimizer")->find("use")->value + "'";
        refuse_key(node, path, "train", optimizer + " has nothing to learn; remove 'train'");
        refuse_key(node, path, "weights", optimizer + " has nothing to learn; remove 'weights'");
        refuse_key(node, path, kUntrainedKey, optimizer + " has nothing to learn; remove 'untrained'");
        return members_of(node, nullptr);
    }
    const ConfigNode* weights = node.find("weights");
    const bool has_weights = weights != nullptr && (weights->children.empty() || weights->is_sweep());
    return members_of(node, has_weights || is_untrained(node, path) ? nullptr : train);
}

void complete_contestant(const Catalog& catalog,
                         ConfigNode& node,
                         const ConfigNode& root,
                         const ConfigNode* train) {
    const std::string path = "contestants." + (node.written.empty() ? node.key : node.written);
    check_length(node);
    if (!is_learned(catalog, node, path)) return;
    if (is_untrained(node, path)) {
        for (const char* key : {"train", "weights"})
            refuse_key(node, path, key, "with 'untrained true' start values are used; remove one of the two");
        return;
    }
    if (node.find("weights") != nullptr) {
        refuse_key(node, path, "train", "with 'weights' nothing is trained; remove one of the two");
        return;
    }
    const ConfigNode* own = node.find("train");
    if (own == nullptr && train == nullptr) {
        refuse(node.origin.text() + ": " + path + ": '" + node.find("optimizer")->find("use")->value +
               "' is learned and has no weights; expected 'train { ... }' here or at the top level, "
               "'weights FILE', or 'untrained true'");
    }
    ConfigNode merged = train_defaults(root);
    if (train != nullptr) lay_train_over(merged, *train, "train");
    if (own != nullptr) lay_train_over(merged, *own, path + ".train");
    std::erase_if(node.children, [](const ConfigNode& child) { return child.key == "train"; });
    node.children.push_back(std::move(merged));
}

std::string Contestant::place() const {
    return "contestants." + group + (swept.empty() ? "" : " (" + name + ")");
}

std::string Contestant::shown_name() const { return tune ? tuned_name(group, swept) : name; }

std::vector<std::pair<std::string, std::string>> Contestant::shown_swept() const {
    return tune ? only_seed(swept) : swept;
}

Contestant read_contestant(const Catalog& catalog, const Member& member, const Section& section) {
    const ConfigNode& node = member.contestant;
    Contestant contestant{
        .name = node.key,
        .group = member.group,
        .swept = member.swept,
        .optimizer = read_unchecked_choice(catalog, Kind::kOptimizer, section.child("optimizer"))};
    if (section.has("continue_with")) {
        contestant.continue_with = read_choice(catalog, Kind::kOptimizer, section.child("continue_with"));
        if (contestant.continue_with->entry.component.has_tag("learned")) {
            refuse(section.where("continue_with") + ": '" + contestant.continue_with->id() +
                   "' is learned; expected an optimizer that needs no training, such as 'fista'");
        }
    }
    if (section.has("safeguard")) {
        const Section safeguard = section.child("safeguard");
        const PluginChoice classic = read_unchecked_choice(catalog, Kind::kOptimizer, safeguard);
        contestant.safeguard = safeguard_choice(classic.entry, classic.settings, classic.context);
    }
    contestant.restarts = section.get_int("restarts", 1, {.min = 1});
    static_cast<void>(section.has(kUntrainedKey));  // read by is_untrained(); without it, that is all
    if (section.has("tune")) contestant.tune = read_tune(section, contestant);
    std::vector<SettingText> from_weights;
    if (section.has("weights")) {
        contestant.weights = section.require_path("weights");
        from_weights = weight_options(contestant.weights, contestant.optimizer.id());
    }
    static_cast<void>(contestant.optimizer.resolve(from_weights));
    if (const ConfigNode* train = node.find("train"))
        contestant.train = read_train(catalog, *train, {section.child("train"), train_schema()});
    return contestant;
}

}  // namespace l2o::framework
