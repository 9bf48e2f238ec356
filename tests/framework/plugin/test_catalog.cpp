#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "framework/error.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/library.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace {

using namespace l2o::framework;
namespace fs = std::filesystem;

/// The folder of the plugins of this build.
fs::path built() {
    const std::string path = std::getenv("L2O_PLUGIN_PATH");
    return path.substr(0, path.find(':'));
}
/// Puts the manifest of a built plugin into a folder, with a library of the same name that cannot be loaded.
void copy_manifest(const std::string& name, const fs::path& folder) {
    fs::copy_file(built() / (name + ".l2o.json"), folder / (name + ".l2o.json"));
    std::ofstream(folder / (name + ".so")) << "garbage\n";
}
template <class Action>
std::string refusal(Action&& action, ExitCode code) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(error.code() == code);
        return error.what();
    }
    return "";
}
bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("listing reads manifests alone: what cannot be loaded is listed and described all the same") {
    const ScratchFolder folder;
    copy_manifest("l2o_optimizer_adam", folder / "");
    const Catalog catalog({folder / ""});
    REQUIRE(catalog.entries().size() == 1);
    const Catalog::Entry& adam = catalog.find(Kind::kOptimizer, "adam");
    CHECK(adam.component.title == "Adam");
    CHECK(adam.component.options.at(0).key == "learning_rate");
    CHECK(adam.component.options.at(0).def == "0.001");
    CHECK(adam.plugin->version == "1.0.0");
    CHECK(contains(refusal([&] { static_cast<void>(Catalog::load(adam)); }, ExitCode::kPlugin),
                   "cannot be loaded"));
}

TEST_CASE("a manifest says of a library what the library says of itself") {
    const Catalog catalog({built()});
    for (const Catalog::Entry& entry : catalog.entries()) {
        CAPTURE(entry.component.id);
        const PluginDescription own = load_library(entry.plugin->library).description;
        CHECK(own.id == entry.plugin->id);
        CHECK(own.components.size() == entry.plugin->components.size());
        for (std::size_t i = 0; i < own.components.size(); ++i) {
            const ComponentDescription &a = own.components[i], &b = entry.plugin->components[i];
            CHECK(a.id == b.id);
            CHECK(a.tags == b.tags);
            REQUIRE(a.needs.size() == b.needs.size());
            for (std::size_t k = 0; k < a.needs.size(); ++k) {
                CHECK(a.needs[k].name == b.needs[k].name);
                CHECK(a.needs[k].optional == b.needs[k].optional);
            }
            REQUIRE(a.options.size() == b.options.size());
            for (std::size_t k = 0; k < a.options.size(); ++k) {
                CAPTURE(a.options[k].key);
                CHECK(a.options[k].key == b.options[k].key);
                CHECK(a.options[k].def == b.options[k].def);
                CHECK(a.options[k].min == b.options[k].min);
                CHECK(a.options[k].max == b.options[k].max);
                CHECK(a.options[k].choices == b.options[k].choices);
                CHECK(a.options[k].flags == b.options[k].flags);
            }
        }
    }
}

TEST_CASE("two libraries that offer the same id are an error that names both") {
    const ScratchFolder one, two;
    copy_manifest("l2o_optimizer_adam", one / "");
    copy_manifest("l2o_optimizer_adam", two / "");
    const std::string text = refusal([&] { const Catalog catalog({one / "", two / ""}); }, ExitCode::kPlugin);
    CHECK(contains(text, "two plugins offer the optimizer 'adam': "));
    CHECK(contains(text, fs::canonical(one / "l2o_optimizer_adam.so").string()));
    CHECK(contains(text, fs::canonical(two / "l2o_optimizer_adam.so").string()));
    CHECK(contains(text, "remove one, or change the plugin path"));
}

TEST_CASE("the same folder given twice, or by another path, is read once") {
    const ScratchFolder folder;
    copy_manifest("l2o_optimizer_adam", folder / "");
    CHECK(Catalog({folder / "", folder / ".", folder / ""}).entries().size() == 1);
}

TEST_CASE("folders that do not exist are skipped; an empty catalog says where it looked") {
    const ScratchFolder folder;
    const Catalog catalog({folder / "nowhere", folder / ""});
    CHECK(catalog.entries().empty());
    const std::string text =
        refusal([&] { static_cast<void>(catalog.find(Kind::kLoss, "mse")); }, ExitCode::kUsage);
    CHECK(contains(text, "unknown loss 'mse'; no loss plugin was found in"));
    CHECK(contains(text, (folder / "nowhere").string()));
    CHECK(contains(text, "L2O_PLUGIN_PATH"));
}

TEST_CASE("an unknown id is answered with the nearest known one of its kind") {
    const ScratchFolder folder;
    copy_manifest("l2o_optimizer_adam", folder / "");
    copy_manifest("l2o_optimizer_gradient_descent", folder / "");
    copy_manifest("l2o_optimizee_quadratic", folder / "");
    const Catalog catalog({folder / ""});
    CHECK(
        contains(refusal([&] { static_cast<void>(catalog.find(Kind::kOptimizer, "adm")); }, ExitCode::kUsage),
                 "unknown optimizer 'adm'; did you mean 'adam'?"));
    const std::string text =
        refusal([&] { static_cast<void>(catalog.find(Kind::kOptimizer, "quadratic")); }, ExitCode::kUsage);
    CHECK(contains(text, "unknown optimizer 'quadratic'"));
    CHECK_FALSE(contains(text, "did you mean 'quadratic'"));
}

TEST_CASE("entries are sorted by kind and id, whatever folder they come from") {
    const ScratchFolder one, two;
    copy_manifest("l2o_optimizer_gradient_descent", one / "");
    copy_manifest("l2o_optimizee_quadratic", one / "");
    copy_manifest("l2o_optimizer_adam", two / "");
    const Catalog catalog({one / "", two / ""});
    REQUIRE(catalog.entries().size() == 3);
    CHECK(catalog.entries()[0].component.id == "adam");
    CHECK(catalog.entries()[1].component.id == "gradient_descent");
    CHECK(catalog.entries()[2].component.id == "quadratic");
}

TEST_CASE("a malformed manifest is an error that names the file and what to do") {
    const ScratchFolder folder;
    std::ofstream(folder / "broken.l2o.json") << R"({"manifest": 1, "library": "broken.so")";
    const std::string text = refusal([&] { const Catalog catalog({folder / ""}); }, ExitCode::kPlugin);
    CHECK(contains(text, "broken.l2o.json: malformed manifest: "));
    CHECK(contains(text, "write it again with l2o-manifest broken.so"));
}

TEST_CASE("a number of a manifest that does not fit is an error, never another number") {
    const ScratchFolder folder;
    for (const char* number : {"1e+300", "-1", "4294967296", "18446744073709551615", "1.5", "\"1\""}) {
        CAPTURE(number);
        std::ofstream(folder / "odd.l2o.json")
            << R"({"manifest": 1, "library": "odd.so", "id": "odd", "version": "1", "license": "", "vendor": "",)"
            << R"("runtime": "", "components": [], "abi": {"major": )" << number
            << R"(, "minor": 0, "required_minor": 0}})";
        const std::string text = refusal([&] { const Catalog catalog({folder / ""}); }, ExitCode::kPlugin);
        CHECK(contains(text, "malformed manifest: major is " + std::string(number) + "; expected a whole"));
    }
}

TEST_CASE("a manifest cannot point to a library outside its folder") {
    const ScratchFolder folder;
    std::ofstream(folder / "sly.l2o.json") << R"({"manifest": 1, "library": "../sly.so"})";
    CHECK(contains(refusal([&] { const Catalog catalog({folder / ""}); }, ExitCode::kPlugin),
                   "library '../sly.so'"));
}

TEST_CASE(
    "folders given by hand come before those of L2O_PLUGIN_PATH, and those before that of the program") {
    const auto folders = plugin_search_path({"/given"});
    REQUIRE(folders.size() >= 3);
    CHECK(folders[0] == "/given");
    CHECK(folders[1] == built());
    CHECK(folders.back().string().ends_with("/lib/l2o/plugins"));
}

TEST_CASE("on a processor with AVX-512 the library in the folder x86-64-v4 is loaded, elsewhere the other") {
    const ScratchFolder folder;
    const std::string name = "l2o_optimizer_adam";
    copy_manifest(name, folder / "");
    const fs::path plain = folder / "l2o_optimizer_adam.so";
    const fs::path wide = folder / "x86-64-v4" / "l2o_optimizer_adam.so";
    CHECK(built_for(plain, true) == plain);
    fs::create_directory(wide.parent_path());
    fs::copy_file(built() / (name + ".so"), wide);
    CHECK(built_for(plain, true) == wide);
    CHECK(built_for(plain, false) == plain);
    const Catalog catalog({folder / ""});
    const Catalog::Entry& adam = catalog.find(Kind::kOptimizer, "adam");
    if (is_x86_64_v4()) {
        CHECK(std::string(Catalog::load(adam).table.id) == "adam");
    } else {
        CHECK(contains(refusal([&] { static_cast<void>(Catalog::load(adam)); }, ExitCode::kPlugin),
                       "cannot be loaded"));
    }
}
