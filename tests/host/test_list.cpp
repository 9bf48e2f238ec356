#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/support/elf_library.hpp"

using l2o::test::contains, l2o::test::run_l2o, l2o::test::Outcome;
using nlohmann::json;

namespace {

/// A manifest of an optimizer beside a library of the headers that it is known by, and nothing to load.
void write_garbage(const ScratchFolder& folder,
                   const std::string& name,
                   const std::string& id,
                   const std::string& title = "Nothing at all") {
    const std::string library = l2o::test::elf_library(name);
    std::ofstream(folder / (name + ".so").c_str()) << library;
    std::string build_id;
    for (const char letter : name) build_id += fmt::format("{:02x}", letter);
    const json component{
        {"kind", "optimizer"},
        {"id", id},
        {"title", title},
        {"doc", "It cannot be loaded."},
        {"tags", {"learned"}},
        {"needs", {"A", "b?"}},
        {"options",
         json::array({{{"key", "depth"}, {"type", 2}, {"doc", "how deep"}, {"default", "7"}, {"min", 1}}})}};
    const json manifest{{"manifest", 2},
                        {"library", name + ".so"},
                        {"id", "org.example." + name},
                        {"version", "9.8.7"},
                        {"license", "MIT"},
                        {"vendor", "Example"},
                        {"runtime", "c++"},
                        {"build", {{"id", build_id}, {"size", library.size()}, {"sha1", "0"}}},
                        {"abi", {{"major", 1}, {"minor", 0}, {"required_minor", 0}}},
                        {"components", json::array({component})}};
    std::ofstream(folder / (name + ".l2o.json").c_str()) << manifest;
}

}  // namespace

TEST_CASE("l2o list shows kind, id, version, title and tags of every plugin") {
    const Outcome all = run_l2o("list");
    CHECK(all.code == 0);
    CHECK(all.err == "");
    CHECK(all.out.starts_with("kind       id"));
    CHECK(contains(all.out, "optimizer  gradient_descent "));
    CHECK(contains(all.out, "optimizee  quadratic "));
}

TEST_CASE("l2o list takes a kind") {
    const Outcome some = run_l2o("list optimizees");
    CHECK(contains(some.out, "quadratic"));
    CHECK(!contains(some.out, "gradient_descent"));
    CHECK(contains(run_l2o("list optimisers").refusal(),
                   "2 l2o: error: unknown kind 'optimisers'; did you mean 'optimizers'?"));
}

TEST_CASE("l2o list --json is an array of objects") {
    const json all = json::parse(run_l2o("list optimizees --json").out);
    REQUIRE(all.is_array());
    bool is_found = false;
    for (const json& entry : all) {
        CHECK(entry.at("kind") == "optimizee");
        is_found = is_found || entry.at("id") == "quadratic";
    }
    CHECK(is_found);
}

TEST_CASE("listing and describing load no library") {
    const ScratchFolder folder;
    write_garbage(folder, "garbage", "garbage");
    const Outcome listed = run_l2o(folder, "list --plugin-path .");
    CHECK(listed.code == 0);
    CHECK(contains(listed.out, "garbage"));
    const Outcome described = run_l2o(folder, "describe garbage --plugin-path .");
    CHECK(described.code == 0);
    CHECK(contains(described.out, "Nothing at all"));
    CHECK(contains(run_l2o(folder, "list", "L2O_PLUGIN_PATH=.").out, "garbage"));
}

TEST_CASE("of two libraries with one id the first is used, and the list shows which one is not") {
    const ScratchFolder folder;
    write_garbage(folder, "first", "twin");
    write_garbage(folder, "second", "twin");
    const Outcome listed = run_l2o(folder, "list --plugin-path .");
    CHECK(listed.code == 0);
    CHECK(contains(listed.out, "not used"));
    CHECK(contains(listed.out, "twin@"));
    CHECK(contains(listed.err, "l2o: note: 1 component is not used, as the optimizer 'twin' of "));
    CHECK(contains(listed.err, "second.so: another of the same id is found before"));
    std::vector<std::string> used, shadowed;
    for (const json& entry : json::parse(run_l2o(folder, "list --plugin-path . --json").out)) {
        if (entry.at("id") != "twin") continue;
        (entry.at("shadowed_by").is_null() ? used : shadowed).push_back(entry.at("library"));
        if (!entry.at("shadowed_by").is_null()) CHECK(contains(entry.at("shadowed_by"), "/first.so"));
    }
    REQUIRE(used.size() == 1);
    REQUIRE(shadowed.size() == 1);
    CHECK(contains(used[0], "/first.so"));
    CHECK(contains(shadowed[0], "/second.so"));
}

TEST_CASE("a manifest that is none costs its plugin alone, in a note of its name") {
    const ScratchFolder folder;
    std::ofstream(folder / "odd.l2o.json") << "{";
    const Outcome listed = run_l2o(folder, "list --plugin-path .");
    CHECK(listed.code == 0);
    CHECK(contains(listed.out, "gradient_descent"));
    CHECK(contains(listed.err, "l2o: note: "));
    CHECK(contains(listed.err, "odd.l2o.json: malformed manifest"));
    CHECK(run_l2o(folder, "list --plugin-path . --quiet").err == "");
}

TEST_CASE("who describes a plugin that was left out is told why") {
    const ScratchFolder folder;
    write_garbage(folder, "short", "short");
    std::ofstream(folder / "short.so") << l2o::test::elf_library("short").substr(0, 100);
    CHECK(contains(run_l2o(folder, "describe short --plugin-path . --quiet").refusal(),
                   "3 l2o: error: plugin '" + std::filesystem::canonical(folder / "short.so").string() +
                       "': cannot be loaded: it is cut short or damaged"));
}

TEST_CASE("l2o describe shows origin, needs and options with what they expect") {
    const ScratchFolder folder;
    write_garbage(folder, "garbage", "garbage");
    const std::string text = run_l2o(folder, "describe garbage --plugin-path .").out;
    for (const char* part : {"optimizer garbage: Nothing at all",
                             "It cannot be loaded.",
                             "9.8.7",
                             "garbage.so",
                             "A, b (optional)",
                             "depth",
                             "7",
                             "a whole number >= 1",
                             "how deep"}) {
        CAPTURE(part);
        CHECK(contains(text, part));
    }
    const json all = json::parse(run_l2o(folder, "describe garbage --json --plugin-path .").out);
    REQUIRE(all.size() == 1);
    CHECK(all[0].at("plugin").at("version") == "9.8.7");
    CHECK(all[0].at("options")[0].at("key") == "depth");
}

TEST_CASE("an id that several kinds have is described for all of them") {
    const ScratchFolder folder;
    write_garbage(folder, "garbage", "quadratic");
    const std::string text = run_l2o(folder, "describe quadratic --plugin-path .").out;
    CHECK(contains(text, "optimizer quadratic: Nothing at all"));
    CHECK(contains(text, "optimizee quadratic: Random least squares"));
}

TEST_CASE("l2o describe shows what a problem publishes, with the sizes of its options") {
    const ScratchFolder folder;
    const std::string text = run_l2o(folder, "describe quadratic --set n=7").out;
    CHECK(contains(text, "variable  shape"));
    CHECK(contains(text, "x         [B, n=7]  float32"));
    CHECK(contains(text, "  [B, n=7, n=7]  float32"));
    CHECK(contains(text, "answers  value, gradient"));
    const json all = json::parse(run_l2o(folder, "describe quadratic --json").out);
    const json& published = all.at(0).at("published");
    CHECK(published.at("blocks").at(0).at("name") == "x");
    CHECK(published.at("data").at(1).at("name") == "y");
    CHECK(published.at("data").at(1).at("solution") == false);
    CHECK(published.at("answers").at(0) == "value");
    CHECK(published.at("costs").at(0) == 1);
    CHECK(contains(text, "known optimum; f(x_star)"));
    CHECK(contains(run_l2o(folder, "describe rastrigin --set box=2").out, "in [-2, 2]"));
    CHECK(contains(run_l2o(folder, "describe quadratic --set n=0").refusal(), "2 l2o: error: --set"));
    CHECK(
        contains(run_l2o(folder, "describe adam --set n=0").refusal(),
                 "2 l2o: error: --set is for the options of an optimizee, and there is none called 'adam'"));
}

TEST_CASE("l2o solve --help lists the problems that are here") {
    CHECK(contains(run_l2o("solve --help").out, " quadratic"));
}

TEST_CASE("l2o describe of a version that there is not lists those that there are") {
    CHECK(contains(run_l2o("describe quadratic@9.0.0").refusal(),
                   "2 l2o: error: unknown optimizee 'quadratic@9.0.0'; expected a version that there is: "
                   "quadratic@"));
    CHECK(contains(run_l2o("describe quadratik@9.0.0").refusal(),
                   "2 l2o: error: unknown plugin 'quadratik@9.0.0'; did you mean 'quadratic'?"));
}

TEST_CASE("l2o describe knows the nearest id") {
    CHECK(contains(run_l2o("describe quadratik").refusal(),
                   "2 l2o: error: unknown plugin 'quadratik'; did you mean 'quadratic'?"));
    CHECK(contains(run_l2o("describe").refusal(),
                   "2 l2o: error: l2o describe: the id of a plugin is missing; expected one, or train, "
                   "evaluate, safeguard, sweep, tune"));
}

TEST_CASE("l2o describe train, evaluate, safeguard and sweep are the manuals of those sections") {
    for (const char* section : {"train", "evaluate", "safeguard", "sweep"}) {
        CAPTURE(section);
        const Outcome text = run_l2o(std::string("describe ") + section);
        CHECK(text.code == 0);
        CHECK(text.out.starts_with(std::string(section) + " { ... }, a section of experiment files\n"));
    }
    const std::string train = run_l2o("describe train").out;
    for (const char* part :
         {"schedule                      flat            one of: flat, layerwise, curriculum\n",
          "memory                        0               a size such as '512MiB'",
          "loss.use                      trajectory_sum  see 'l2o list losses'\n",
          "stages.NAME.rate              1               a number > 0\n",
          "cannot see past the end of a window"}) {
        CAPTURE(part);
        CHECK(contains(train, part));
    }
    CHECK(contains(run_l2o("describe safeguard").out, "use      required  see 'l2o list optimizers'\n"));
    CHECK(contains(run_l2o("describe trian").refusal(),
                   "2 l2o: error: unknown plugin 'trian'; did you mean 'train'?"));
    CHECK(contains(run_l2o("describe nothing_near").refusal(),
                   "; 'l2o list' shows all, and train, evaluate, safeguard, sweep, tune are sections"));
}

TEST_CASE("l2o describe --json has a section as plugins have their options") {
    const json all = json::parse(run_l2o("describe train --json").out);
    REQUIRE(all.size() == 1);
    CHECK(all[0].at("kind") == "section");
    CHECK(all[0].at("id") == "train");
    const json& schedule = all[0].at("options").at(0);
    CHECK(schedule.at("key") == "schedule");
    CHECK(schedule.at("default") == "flat");
    CHECK(schedule.at("choices").size() == 3);
    CHECK(schedule.at("expected") == "one of: flat, layerwise, curriculum");
    const json& seeds = all[0].at("options").at(3);
    CHECK(seeds.at("key") == "seeds");
    CHECK(seeds.at("expected") == "a whole number in [1, 256]");
    const json& loss = all[0].at("sections").at(0);
    CHECK(loss.at("id") == "loss");
    CHECK(loss.at("plugin") == "loss");
    CHECK(loss.at("options").at(0).at("default") == "trajectory_sum");
}

TEST_CASE("a library that cannot be loaded is exit code 3") {
    const ScratchFolder folder;
    write_garbage(folder, "garbage", "garbage");
    // The problem file comes first; any that exists will do.
    const std::string refusal =
        run_l2o(folder, "solve --optimizer garbage --problem garbage.so --output out --plugin-path .")
            .refusal();
    CHECK(contains(refusal, "5 l2o: error: "));
    CHECK(contains(refusal, "garbage.so"));
}

namespace {

std::string readme() {
    std::ifstream file(L2O_README);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("README: at most 200 lines") {
    const std::string text = readme();
    const auto lines = std::count(text.begin(), text.end(), '\n');
    CHECK(lines > 100);
    CHECK(lines <= 200);
}

TEST_CASE("README: what it shows of a mistyped name is what l2o says") {
    const std::string text = readme(), command = "$ l2o describe adm\n";
    const std::size_t begin = text.find(command), end = text.find("…\n```\n", begin);
    REQUIRE(begin != std::string::npos);
    REQUIRE(end != std::string::npos);
    const std::size_t answer = begin + command.size();
    CHECK(run_l2o("describe adm").err.starts_with(text.substr(answer, end - answer)));
}

TEST_CASE("README: its experiment is one, and the sections that it names have manuals") {
    const std::string text = readme();
    const std::string open = "```\nname sparse\n";
    const std::size_t begin = text.find(open);
    REQUIRE(begin != std::string::npos);
    const std::size_t first = begin + 4, end = text.find("```", first);
    const ScratchFolder folder;
    std::ofstream((folder / "sparse.info").c_str()) << text.substr(first, end - first);
    const Outcome outcome = run_l2o(folder, "run sparse.info evaluate.target=-10 --print-config");
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.out, "use lista"));
    for (const std::string section : {"train", "evaluate", "safeguard", "sweep"}) {
        CAPTURE(section);
        CHECK(contains(text, "$ l2o describe " + section + " "));
        CHECK(run_l2o("describe " + section).code == 0);
    }
}
