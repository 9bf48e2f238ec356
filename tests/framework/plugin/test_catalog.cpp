#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "framework/error.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/environment_variable.hpp"

namespace {

using namespace l2o::framework;
using l2o::test::EnvironmentVariable;
namespace fs = std::filesystem;

/// The folder of the plugins of this build.
fs::path built() {
    const std::string path = std::getenv("L2O_PLUGIN_PATH");
    return path.substr(0, path.find(':'));
}
/// Puts a built plugin into a folder.
void copy_plugin(const std::string& name, const fs::path& folder) {
    for (const char* ending : {".l2o.json", ".so"})
        fs::copy_file(built() / (name + ending), folder / (name + ending));
}
/// Changes what a manifest says.
void edit(const fs::path& manifest, const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json json = nlohmann::json::parse(read_file(manifest));
    change(json);
    std::ofstream(manifest) << json;
}
/// The one note of a catalog.
std::string note_of(const Catalog& catalog) {
    REQUIRE(catalog.notes().size() == 1);
    return catalog.notes()[0];
}
const fs::path kLibraries = L2O_TEST_LIBRARIES;
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

TEST_CASE("listing reads manifests and the headers of libraries alone: what cannot be loaded is listed too") {
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_adam", folder / "");
    // A byte of its code: the headers, and so build id and size, are those of the manifest.
    std::string bytes = read_file(folder / "l2o_optimizer_adam.so");
    bytes[bytes.size() / 2] = static_cast<char>(~bytes[bytes.size() / 2]);
    std::ofstream(folder / "l2o_optimizer_adam.so", std::ios::binary) << bytes;
    const Catalog catalog({folder / ""});
    CHECK(catalog.notes().empty());
    REQUIRE(catalog.entries().size() == 1);
    const Catalog::Entry& adam = catalog.find(Kind::kOptimizer, "adam");
    CHECK(adam.component.title == "Adam");
    CHECK(adam.component.options.at(0).key == "learning_rate");
    CHECK(adam.component.options.at(0).def == "0.001");
    CHECK(adam.plugin->version == "1.0.0");
    CHECK(Catalog::build_of(adam).id.size() == 40);
    CHECK(contains(refusal([&] { static_cast<void>(Catalog::load(adam)); }, ExitCode::kPlugin),
                   "l2o_optimizer_adam.so': its content is not that of its manifest"));
}

TEST_CASE(
    "a manifest of another build is not believed: the library is described again, and a note names both") {
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_gradient_descent", folder / "");
    fs::copy_file(built() / "l2o_optimizer_adam.so",
                  folder / "l2o_optimizer_gradient_descent.so",
                  fs::copy_options::overwrite_existing);
    const Catalog catalog({folder / ""});
    REQUIRE(catalog.entries().size() == 1);
    const Catalog::Entry& adam = catalog.entries()[0];
    CHECK(adam.component.id == "adam");
    CHECK(adam.component.options.size() == 11);
    CHECK(std::string(Catalog::load(adam).table.id) == "adam");
    const auto id = [](const char* name) { return LibraryFile(built() / name).build().id.substr(0, 12); };
    const std::string library = fs::canonical(folder / "l2o_optimizer_gradient_descent.so").string();
    CHECK(note_of(catalog) ==
          "plugin '" + library + "': its manifest describes build " +
              id("l2o_optimizer_gradient_descent.so") + ", this is " + id("l2o_optimizer_adam.so") +
              "; it was described again; write the manifest again with l2o-manifest " + library);
}

TEST_CASE("a library without a build id is known by its content") {
    const ScratchFolder folder;
    fs::copy_file(kLibraries / "nameless.so", folder / "nameless.so");
    std::ofstream(manifest_path(folder / "nameless.so")) << to_json(describe_library(folder / "nameless.so"));
    CHECK(Catalog({folder / ""}).notes().empty());
    edit(manifest_path(folder / "nameless.so"),
         [](nlohmann::json& json) { json["build"]["sha1"] = std::string(40, '0'); });
    const Catalog catalog({folder / ""});
    CHECK(contains(note_of(catalog), "its manifest describes build sha1 000000000000, this is sha1 "));
    CHECK(catalog.entries().size() == 2);
}

TEST_CASE("a manifest from before builds were written down is used after the library was described again") {
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_adam", folder / "");
    edit(folder / "l2o_optimizer_adam.l2o.json", [](nlohmann::json& json) {
        json.erase("build");
        std::swap(json["components"][0]["options"][0], json["components"][0]["options"][1]);
    });
    const Catalog catalog({folder / ""});
    CHECK(contains(note_of(catalog), "its manifest does not say which build it describes"));
    CHECK(catalog.find(Kind::kOptimizer, "adam").component.options.at(0).key == "learning_rate");
    CHECK(std::string(Catalog::load(catalog.find(Kind::kOptimizer, "adam")).table.id) == "adam");
}

TEST_CASE("a manifest of the right build that says something else than its library is refused by the place") {
    using Change = std::function<void(nlohmann::json&)>;
    const std::vector<std::pair<std::string, Change>> changes{
        {"/components/0/options/0/",
         [](auto& json) {
             std::swap(json["components"][0]["options"][0], json["components"][0]["options"][1]);
         }},
        {"/components/0/options/4", [](auto& json) { json["components"][0]["options"].erase(4); }},
        {"/components/0/options/2/default",
         [](auto& json) { json["components"][0]["options"][2]["default"] = "0.5"; }},
        {"/components/0/options/0/type", [](auto& json) { json["components"][0]["options"][0]["type"] = 2; }},
        {"/components/0/options/1/max", [](auto& json) { json["components"][0]["options"][1].erase("max"); }},
        {"/components/0/needs",
         [](auto& json) {
             json["components"][0]["needs"] = {"y", "W"};
         }},
        {"/components/0/tags", [](auto& json) { json["components"][0]["tags"] = {"learned"}; }},
        {"/components/", [](auto& json) { json["components"].push_back(json["components"][0]); }},
        {"/version", [](auto& json) { json["version"] = "9.9.9"; }},
        {"/abi/major", [](auto& json) { json["abi"]["major"] = 7; }}};
    for (const auto& [place, change] : changes) {
        const auto& which = place;
        CAPTURE(which);
        const ScratchFolder folder;
        copy_plugin("l2o_optimizer_adam", folder / "");
        edit(folder / "l2o_optimizer_adam.l2o.json", change);
        const Catalog catalog({folder / ""});
        const Catalog::Entry& adam = catalog.find(Kind::kOptimizer, "adam");
        CHECK(contains(refusal([&] { static_cast<void>(Catalog::load(adam)); }, ExitCode::kPlugin),
                       "its manifest says something else than the library, at " + place));
    }
}

TEST_CASE("what is no manifest, and a library that crashes, hangs or is cut short, costs itself alone") {
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_adam", folder / "");
    std::ofstream(folder / "broken.l2o.json") << R"({"manifest": 2, "library": "broken.so")";
    fs::create_symlink("/nonexistent", folder / "dangling.l2o.json");
    fs::create_directory(folder / "folder.l2o.json");
    REQUIRE(::mkfifo((folder / "fifo.l2o.json").c_str(), 0600) == 0);
    fs::create_symlink("/dev/zero", folder / "endless.l2o.json");
    for (const char* name : {"lonely", "cut", "crashes"})
        fs::copy_file(built() / "l2o_optimizer_gradient_descent.l2o.json",
                      folder / (std::string(name) + ".l2o.json").c_str());
    for (const char* name : {"lonely", "cut", "crashes"})
        edit(folder / (std::string(name) + ".l2o.json").c_str(), [&](nlohmann::json& json) {
            json["library"] = std::string(name) + ".so";
            json["components"][0]["id"] = name;
        });
    std::ofstream(folder / "cut.so", std::ios::binary)
        << read_file(built() / "l2o_optimizer_gradient_descent.so").substr(0, 9000);
    fs::copy_file(kLibraries / "crashes_at_once.so", folder / "crashes.so");

    const Catalog catalog({folder / ""});
    REQUIRE(catalog.entries().size() == 1);
    CHECK(catalog.entries()[0].component.id == "adam");
    CHECK(catalog.notes().size() == 8);
    for (const char* part :
         {"/broken.l2o.json: malformed manifest",
          "/dangling.l2o.json: cannot open: No such file or directory; check the path",
          "/folder.l2o.json: no manifest",
          "/fifo.l2o.json: no manifest",
          "/endless.l2o.json: no manifest",
          "/lonely.so': cannot be loaded",
          "/cut.so': cannot be loaded: it is cut short",
          "/crashes.so': when it was loaded in a process of its own, that crashed with SIGABRT"}) {
        CAPTURE(part);
        CHECK(std::any_of(catalog.notes().begin(), catalog.notes().end(), [&](const std::string& note) {
            return contains(note, part) && note.ends_with("; it is left out");
        }));
    }
    // Who asks for one of them is told why it is not there.
    CHECK(contains(
        refusal([&] { static_cast<void>(catalog.find(Kind::kOptimizer, "cut")); }, ExitCode::kPlugin),
        "/cut.so': cannot be loaded: it is cut short"));
}

TEST_CASE("a folder that everybody may write to is searched only if it was named") {
    const ScratchFolder folder;
    const fs::path plugins = folder / "lib/l2o/plugins";
    fs::create_directories(plugins);
    copy_plugin("l2o_optimizer_adam", plugins);
    const auto catalog = [&](bool is_named) {
        return Catalog(std::vector<PluginFolder>{{.path = plugins, .is_named = is_named}});
    };
    CHECK(catalog(false).entries().size() == 1);
    for (const fs::path& open : {plugins, plugins.parent_path(), plugins.parent_path().parent_path()}) {
        CAPTURE(open);
        fs::permissions(open, fs::perms::others_write, fs::perm_options::add);
        CHECK(catalog(true).entries().size() == 1);
        CHECK(catalog(true).notes().empty());
        CHECK(catalog(false).entries().empty());
        CHECK(contains(
            note_of(catalog(false)),
            "not searched for plugins, because everybody may write to " + fs::canonical(open).string()));
        fs::permissions(open, fs::perms::others_write, fs::perm_options::remove);
    }
    fs::permissions(plugins / "l2o_optimizer_adam.so", fs::perms::others_write, fs::perm_options::add);
    CHECK(catalog(true).entries().size() == 1);
    CHECK(contains(note_of(catalog(false)), "l2o_optimizer_adam.so': everybody may write to it"));
}

TEST_CASE("texts of a manifest reach nobody with control characters, and names are words") {
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_adam", folder / "");
    edit(folder / "l2o_optimizer_adam.l2o.json", [](nlohmann::json& json) {
        json["components"][0]["title"] = "A\x1b[31mdam\n\u009b0m";
        json["vendor"] = std::string(5000, 'v');
    });
    const Catalog catalog({folder / ""});
    CHECK(catalog.find(Kind::kOptimizer, "adam").component.title == "A [31mdam  0m");
    CHECK(catalog.find(Kind::kOptimizer, "adam").plugin->vendor.size() == 1024);
    for (const char* id : {"", "../../x", "two words", "line\nbreak", "\x1b[2J"}) {
        CAPTURE(id);
        edit(folder / "l2o_optimizer_adam.l2o.json",
             [&](nlohmann::json& json) { json["components"][0]["id"] = id; });
        const Catalog none({folder / ""});
        CHECK(none.entries().empty());
        CHECK(contains(note_of(none), "malformed manifest: component id '"));
        CHECK(note_of(none).find_first_of("\n\x1b") == std::string::npos);
    }
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

TEST_CASE("of two libraries that offer the same id the first is used, and a version names the other") {
    const ScratchFolder one, two;
    copy_plugin("l2o_optimizer_adam", one / "");
    fs::copy_file(built() / "l2o_optimizer_gradient_descent.so", two / "other.so");
    PluginDescription other = describe_library(two / "other.so");
    other.components[0].id = "adam";
    other.version = "9.1";
    std::ofstream(two / "other.l2o.json") << to_json(other);
    const fs::path first = fs::canonical(one / "l2o_optimizer_adam.so"),
                   second = fs::canonical(two / "other.so");
    const Catalog catalog({one / "", two / ""});
    REQUIRE(catalog.entries().size() == 1);
    CHECK(catalog.entries()[0].plugin->library == first);
    REQUIRE(catalog.shadowed().size() == 1);
    CHECK(catalog.shadowed()[0].plugin->library == second);
    CHECK(note_of(catalog) ==
          "1 component is not used, as the optimizer 'adam' of " + second.string() +
              ": another of the same id is found before; 'l2o list' shows all, and ID@VERSION "
              "names one");
    CHECK(catalog.find(Kind::kOptimizer, "adam").plugin->library == first);
    CHECK(catalog.find(Kind::kOptimizer, "adam@9.1").plugin->library == second);
    const std::string version = catalog.entries()[0].plugin->version;
    CHECK(catalog.find(Kind::kOptimizer, "adam@" + version).plugin->library == first);
    CHECK(catalog.look_up(Kind::kLoss, "adam") == nullptr);
    CHECK(refusal([&] { static_cast<void>(catalog.find(Kind::kOptimizer, "adam@9.2")); }, ExitCode::kUsage) ==
          "unknown optimizer 'adam@9.2'; expected a version that there is: adam@" + version + " (" +
              first.string() + "), adam@9.1 (" + second.string() + ")");
    CHECK(contains(
        refusal([&] { static_cast<void>(catalog.find(Kind::kOptimizer, "adan@9.1")); }, ExitCode::kUsage),
        "unknown optimizer 'adan@9.1'; did you mean 'adam'?"));
}

TEST_CASE("a library without a manifest is named, one that plugins share is not") {
    const ScratchFolder folder;
    fs::copy_file(built() / "l2o_optimizer_adam.so", folder / "lonely.so");
    fs::copy_file(built() / "l2o_optimizer_adam.so", folder / "libshared.so");
    const std::string library = (fs::canonical(folder / "") / "lonely.so").string();
    CHECK(note_of(Catalog({folder / ""})) ==
          "plugin '" + library +
              "': has no manifest beside it, so it is left out; write it with "
              "l2o-manifest " +
              library);
}

TEST_CASE("the user's folder is searched behind those that are named and before that of the program") {
    const ScratchFolder home;
    const EnvironmentVariable data("XDG_DATA_HOME", (home / "data").string()),
        plugins("L2O_PLUGIN_PATH", (home / "named").string()), user("HOME", (home / "me").string());
    const auto folders = [&] {
        std::vector<std::pair<fs::path, bool>> found;
        for (const PluginFolder& folder : plugin_search_path({home / "given"}))
            found.emplace_back(folder.path, folder.is_named);
        return found;
    };
    REQUIRE(folders().size() == 4);
    CHECK(folders()[0] == std::pair(fs::path(home / "given"), true));
    CHECK(folders()[1] == std::pair(fs::path(home / "named"), true));
    CHECK(folders()[2] == std::pair(fs::path(home / "data/l2o/plugins"), false));
    CHECK_FALSE(folders()[3].second);
    // XDG Base Directory Specification: a relative path is ignored.
    for (const char* none : {"", "data"}) {
        const EnvironmentVariable relative("XDG_DATA_HOME", none);
        CHECK(folders()[2].first == home / "me/.local/share/l2o/plugins");
    }
}

TEST_CASE("a plugin seen twice, through a link or as a copy, is one plugin") {
    const ScratchFolder one, linked, copied;
    copy_plugin("l2o_optimizer_adam", one / "");
    copy_plugin("l2o_optimizer_adam", copied / "");
    for (const char* name : {"l2o_optimizer_adam.so", "l2o_optimizer_adam.l2o.json"})
        fs::create_symlink(one / name, linked / name);
    const Catalog catalog({one / "", linked / "", copied / ""});
    CHECK(catalog.entries().size() == 1);
    CHECK(catalog.notes().empty());
}

TEST_CASE("the same folder given twice, or by another path, is read once") {
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_adam", folder / "");
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
    copy_plugin("l2o_optimizer_adam", folder / "");
    copy_plugin("l2o_optimizer_gradient_descent", folder / "");
    copy_plugin("l2o_optimizee_quadratic", folder / "");
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
    copy_plugin("l2o_optimizer_gradient_descent", one / "");
    copy_plugin("l2o_optimizee_quadratic", one / "");
    copy_plugin("l2o_optimizer_adam", two / "");
    const Catalog catalog({one / "", two / ""});
    REQUIRE(catalog.entries().size() == 3);
    CHECK(catalog.entries()[0].component.id == "adam");
    CHECK(catalog.entries()[1].component.id == "gradient_descent");
    CHECK(catalog.entries()[2].component.id == "quadratic");
}

TEST_CASE("a number of a manifest that does not fit is an error, never another number") {
    const ScratchFolder folder;
    for (const char* number : {"1e+300", "-1", "4294967296", "18446744073709551615", "1.5", "\"1\""}) {
        CAPTURE(number);
        std::ofstream(folder / "odd.l2o.json")
            << R"({"manifest": 2, "library": "odd.so", "id": "odd", "version": "1", "license": "", "vendor": "",)"
            << R"("runtime": "", "components": [], "abi": {"major": )" << number
            << R"(, "minor": 0, "required_minor": 0}})";
        CHECK(contains(note_of(Catalog({folder / ""})),
                       "malformed manifest: major is " + std::string(number) + "; expected a whole"));
    }
}

TEST_CASE("a manifest cannot point to a library outside its folder") {
    const ScratchFolder folder;
    for (const char* library : {"../sly.so", "/lib/sly.so", "..", ".", ""}) {
        std::ofstream(folder / "sly.l2o.json") << nlohmann::json{{"manifest", 2}, {"library", library}};
        CHECK(contains(note_of(Catalog({folder / ""})),
                       "library '" + std::string(library) + "'; expected the name of a file beside it"));
    }
}

TEST_CASE(
    "folders given by hand come before those of L2O_PLUGIN_PATH, and those before that of the program") {
    const auto folders = plugin_search_path({"/given"});
    REQUIRE(folders.size() >= 3);
    CHECK(folders[0].path == "/given");
    CHECK(folders[1].path == built());
    CHECK((folders[0].is_named && folders[1].is_named && !folders.back().is_named));
    CHECK(folders.back().path.string().ends_with("/lib/l2o/plugins"));
}

TEST_CASE("on a processor with AVX-512 the library in the folder x86-64-v4 is loaded, elsewhere the other") {
    const ScratchFolder folder;
    const std::string name = "l2o_optimizer_adam";
    copy_plugin(name, folder / "");
    const fs::path plain = folder / "l2o_optimizer_adam.so";
    const fs::path wide = folder / "x86-64-v4" / "l2o_optimizer_adam.so";
    CHECK(built_for(plain, true) == plain);
    fs::create_directory(wide.parent_path());
    fs::copy_file(plain, wide);
    CHECK(built_for(plain, true) == wide);
    CHECK(built_for(plain, false) == plain);
    // Each has a build of its own in the manifest; the one that is not loaded here may be anything.
    const PluginDescription both = describe_library(plain);
    CHECK(both.wide == both.build);
    std::ofstream(manifest_path(plain)) << to_json(both);
    const fs::path& other = is_x86_64_v4() ? plain : wide;
    fs::remove(other);  // not overwritten: this process has described it, and so has it mapped
    std::ofstream(other) << "garbage\n";
    const Catalog catalog({folder / ""});
    CHECK(catalog.notes().empty());
    CHECK(std::string(Catalog::load(catalog.find(Kind::kOptimizer, "adam")).table.id) == "adam");
}

TEST_CASE("a library in the folder x86-64-v4 that its manifest does not know is described again") {
    if (!is_x86_64_v4()) return;
    const ScratchFolder folder;
    copy_plugin("l2o_optimizer_adam", folder / "");
    const fs::path wide = folder / "x86-64-v4" / "l2o_optimizer_adam.so";
    fs::create_directory(wide.parent_path());
    fs::copy_file(built() / "l2o_optimizer_adam.so", wide);
    const Catalog catalog({folder / ""});
    CHECK(contains(note_of(catalog),
                   "x86-64-v4/l2o_optimizer_adam.so': its manifest does not say which build"));
    CHECK(std::string(Catalog::load(catalog.find(Kind::kOptimizer, "adam")).table.id) == "adam");
}
