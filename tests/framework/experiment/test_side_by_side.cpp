#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/experiment/small_run.hpp"
#include "tests/framework/store/records.hpp"

using namespace l2o::framework;
using l2o::test::advised_folder;
using l2o::test::interrupt_at;
using l2o::test::interrupted;
using l2o::test::kShort;
using l2o::test::records;
using l2o::test::refusal;
using l2o::test::resume;
using l2o::test::rows;
using l2o::test::run;
using l2o::test::tensors;
using Source = WeightsReport::Source;
namespace fs = std::filesystem;

namespace {

// Four trainings, two of them of the same weights, and six evaluations.
const std::string kMany = std::string("contestants { ") + kShort + R"(
    wide { optimizer { use lista
                       layers { sweep 3 4 } }
           train { epochs 3 } }
    again { optimizer { use lista
                        layers 3 } } })";

}  // namespace

TEST_CASE("run: contestants side by side come to the same bits as one after the other") {
    const ScratchFolder one, two;
    const RunResult alone = run(one, {.threads = 2}, kMany);
    std::mutex mutex;
    std::condition_variable met;
    std::set<std::thread::id> workers;
    // Whoever is at work first waits for another to be.
    const auto meet = [&](const Progress&) {
        std::unique_lock lock(mutex);
        workers.insert(std::this_thread::get_id());
        met.notify_all();
        met.wait_for(lock, std::chrono::minutes(1), [&] { return workers.size() > 1; });
    };
    const RunResult beside = run(two, {.threads = 2, .jobs = 2, .progress = meet}, kMany);
    CHECK(workers.size() == 2);
    CHECK(rows(alone) == rows(beside));
    REQUIRE(alone.weights.size() == beside.weights.size());
    for (std::size_t i = 0; i < alone.weights.size(); ++i) {
        CHECK(alone.weights[i].contestant == beside.weights[i].contestant);
        CHECK(tensors(alone.weights[i].file) == tensors(beside.weights[i].file));
    }
    // Of two with the same weights one is trained, the other finds them.
    const auto trained = std::ranges::count(beside.weights, Source::kTrained, &WeightsReport::source);
    CHECK(trained == 4);
    std::vector<nlohmann::json> in_order = records(alone.folder / "metrics.jsonl"),
                                any_order = records(beside.folder / "metrics.jsonl");
    const auto by_contestant = [](const nlohmann::json& record) {
        return std::pair(record["contestant"].get<std::string>(), record["epoch"].get<int>());
    };
    // Which of the two was trained is a matter of chance.
    for (auto* all : {&in_order, &any_order}) {
        for (nlohmann::json& record : *all)
            if (record["contestant"] == "again") record["contestant"] = "lista";
        std::ranges::sort(*all, {}, by_contestant);
    }
    CHECK(in_order == any_order);
}

TEST_CASE("run: interrupted in two trainings at a time it goes on with both, to the same bits") {
    const ScratchFolder one, two;
    const RunResult whole = run(one, {}, kMany);
    std::string text =
        interrupted(two, {.threads = 2, .jobs = 2, .progress = interrupt_at("training short", 1)}, kMany);
    const fs::path folder = advised_folder(text);
    text = refusal([&] {
        (void)resume(folder, {.threads = 2, .jobs = 2, .progress = interrupt_at("evaluating lista", 1)});
    });
    cancel_flag() = 0;
    REQUIRE(text.starts_with("130 "));
    const RunResult again = resume(folder, {.threads = 2, .jobs = 2});
    CHECK(rows(again) == rows(whole));
    REQUIRE(again.weights.size() == whole.weights.size());
    for (std::size_t i = 0; i < whole.weights.size(); ++i)
        CHECK(tensors(again.weights[i].file) == tensors(whole.weights[i].file));
}

TEST_CASE("run: a failure beside another training is told at once, and that training is kept") {
    const ScratchFolder folder;
    std::mutex mutex;
    std::vector<std::string> notes;
    const std::string text = refusal([&] {
        (void)run(folder,
                  {.threads = 2,
                   .jobs = 2,
                   .note =
                       [&](const std::string& note) {
                           const std::lock_guard lock(mutex);
                           notes.push_back(note);
                       }},
                  "contestants { wild { optimizer { use lista\n layers 3 }\n"
                  "train { meta_optimizer { learning_rate 1e300 } } } }");
    });
    CHECK(text.starts_with("4 training of 'wild'"));
    REQUIRE(notes.size() == 1);
    CHECK(notes.front() == text.substr(2) + "; what runs beside it goes on to its end");
    const RunResult kept = run(folder);
    CHECK(kept.weights.front().source == Source::kFound);
}
