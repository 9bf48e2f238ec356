#include "framework/experiment/contestants.hpp"

#include <algorithm>
#include <utility>

#include "framework/error.hpp"
#include "framework/experiment/section_schemas.hpp"
#include "framework/experiment/train_section.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void refuse(const std::string& text) { throw Error(ExitCode::kUsage, text); }

/// Whether the optimizer of a contestant has parameters to learn.
bool is_learned(const Catalog& catalog, const ConfigNode& node, const std::string& path) {
    const ConfigNode* optimizer = node.find("optimizer");
    const ConfigNode* use = optimizer != nullptr ? optimizer->find("use") : nullptr;
    if (use == nullptr) {
        const ConfigNode& nearest = optimizer != nullptr ? *optimizer : node;
        refuse(nearest.origin.text() + ": " + path + ".optimizer" + (optimizer != nullptr ? ".use" : "") +
               " is missing; expected 'optimizer { use ID }'");
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

void complete_contestant(const Catalog& catalog,
                         ConfigNode& node,
                         const ConfigNode& root,
                         const ConfigNode* train) {
    const std::string path = "contestants." + node.key;
    if (node.key.find('/') != std::string::npos) {
        refuse(
            node.origin.text() + ": the contestant '" + node.key +
            "' has a '/' in its name, and files are named after it; expected letters, digits, '_' and '-'");
    }
    if (!can_name_file(node.key)) {
        refuse(node.origin.text() + ": the name of the contestant '" + node.key +
               "' has more than 200 bytes or a control character, and files are named after it; expected "
               "letters, digits, '_' and '-'");
    }
    refuse_other_keys(node, path, {"optimizer", "continue_with", "safeguard", "train", "weights"});
    if (!is_learned(catalog, node, path)) {
        const std::string optimizer = "'" + node.find("optimizer")->find("use")->value + "'";
        refuse_key(node, path, "train", optimizer + " has nothing to learn; remove 'train'");
        refuse_key(node, path, "weights", optimizer + " has nothing to learn; remove 'weights'");
        return;
    }
    if (node.find("weights") != nullptr) {
        refuse_key(node, path, "train", "with 'weights' nothing is trained; remove one of the two");
        return;
    }
    const ConfigNode* own = node.find("train");
    if (own == nullptr && train == nullptr) {
        refuse(node.origin.text() + ": " + path + ": '" + node.find("optimizer")->find("use")->value +
               "' is learned and has no weights; expected 'train { ... }' here or at the top level, or "
               "'weights FILE'");
    }
    ConfigNode merged = train_defaults(root);
    if (train != nullptr) lay_train_over(merged, *train, "train");
    if (own != nullptr) lay_train_over(merged, *own, path + ".train");
    std::erase_if(node.children, [](const ConfigNode& child) { return child.key == "train"; });
    node.children.push_back(std::move(merged));
}

Contestant read_contestant(const Catalog& catalog, const ConfigNode& node, const Section& section) {
    Contestant contestant{
        .name = node.key,
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
