#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/evaluate/curve_file.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/experiment/small_run.hpp"

using namespace l2o::framework;
using l2o::test::advised_folder;
using l2o::test::interrupt_at;
using l2o::test::interrupted;
using l2o::test::kMore;
using l2o::test::kShort;
using l2o::test::listing;
using l2o::test::resume;
using l2o::test::rows;
using l2o::test::run;
using l2o::test::without_times;
namespace fs = std::filesystem;

TEST_CASE("run: an interrupted evaluation goes on with those who are not yet evaluated, to the same bits") {
    const std::string safe = std::string("contestants { ") + kShort +
                             "safe { optimizer { use lista\n layers 3 }\n train { epochs 2 }\n"
                             "safeguard { use ista } }\n last { optimizer { use ista } } }";
    const ScratchFolder folder, other;
    const RunResult whole = run(other, {}, safe);
    REQUIRE(whole.results.curves.size() == 5);
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("evaluating last", 1)}, safe));
    CHECK(fs::is_regular_file(path / "checkpoints/safe.evaluation.safetensors"));
    CHECK_FALSE(fs::exists(path / "checkpoints/last.evaluation.safetensors"));

    std::vector<std::string> evaluated;
    const RunResult rest = resume(path, {.progress = listing(evaluated)});
    CHECK(evaluated == std::vector<std::string>{"last"});
    CHECK(rows(rest) == rows(whole));
    for (const char* name : {"curves.csv", "finals.csv", "summary.csv"}) {
        CAPTURE(name);
        CHECK(without_times(path / name) == without_times(whole.folder / name));
        CHECK(!without_times(path / name).empty());
    }
    for (std::size_t i = 0; i < whole.results.curves.size(); ++i)
        CHECK((rest.results.curves[i].fallback_rate == whole.results.curves[i].fallback_rate) ==
              !std::isnan(whole.results.curves[i].fallback_rate));
    const auto kept = [](const fs::path& run, const std::string& name) {
        return read_curve(run / ("checkpoints/" + name + ".evaluation.safetensors")).history.values;
    };
    CHECK(kept(path, "safe") == kept(whole.folder, "safe"));
    CHECK(kept(path, "last") == kept(whole.folder, "last"));
}

TEST_CASE("run: what an interrupted evaluation has kept is believed only if nothing has changed since") {
    const ScratchFolder folder;
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("evaluating short", 1)}, kMore));
    const auto evaluated_after = [&](const auto& change) {
        const fs::path copy = folder / "copy";
        fs::remove_all(copy);
        fs::copy(path, copy, fs::copy_options::recursive);
        change(copy);
        std::vector<std::string> evaluated, notes;
        (void)resume(copy, {.progress = listing(evaluated), .note = [&](const std::string& text) {
                                notes.push_back(text);
                            }});
        std::string all;
        for (const std::string& name : evaluated) all += name + " ";
        for (const std::string& note : notes)
            all += note.find("is evaluated again") != std::string::npos ? "noted " : "";
        return all;
    };
    CHECK(evaluated_after([](const fs::path&) {}) == "short ");
    CHECK(evaluated_after([](const fs::path& copy) {
              const fs::path file = copy / "checkpoints/ista.evaluation.safetensors";
              std::string bytes = read_file(file);
              bytes[bytes.size() - 3] ^= 1;
              write_file_atomically(file, bytes);
          }) == "ista short noted ");
    CHECK(evaluated_after([](const fs::path& copy) {
              const fs::path file = copy / "checkpoints/lista.evaluation.safetensors";
              write_file_atomically(file, read_file(file).substr(0, 100));
          }) == "lista short noted ");
    CHECK(evaluated_after([](const fs::path& copy) {
              fs::rename(copy / "checkpoints/lista.evaluation.safetensors",
                         copy / "checkpoints/ista.evaluation.safetensors");
          }) == "ista lista short noted ");
    CHECK(evaluated_after([](const fs::path& copy) {
              const std::string config = read_file(copy / "config.info"), part = "iterations 3";
              std::string edited = config;
              edited.replace(edited.find(part), part.size(), "iterations 2");
              write_file_atomically(copy / "config.info", edited);
          }) == "ista lista short noted noted ");
}

TEST_CASE("run: with checkpoint_every_s 0 every contestant is kept, so that a kill costs one evaluation") {
    const ScratchFolder folder;
    std::vector<std::string> kept;
    std::string at;
    const std::string more = kMore + "evaluate { checkpoint_every_s 0 }";
    const auto look = [&](const Progress& progress) {
        if (progress.what == at || progress.what == "timing") return;
        at = progress.what;
        for (const auto& entry : fs::recursive_directory_iterator(folder / "runs"))
            if (entry.path().filename().string().ends_with(".evaluation.safetensors"))
                kept.push_back(at.substr(11) + ":" + entry.path().stem().stem().string());
    };
    (void)run(folder, {.progress = look}, more);
    std::ranges::sort(kept);
    CHECK(kept == std::vector<std::string>{"lista:ista", "short:ista", "short:lista"});
}
