#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::test::contains, l2o::test::Outcome, l2o::test::run_l2o;
using nlohmann::json;

namespace {

/// What `l2o run` on a contestant does that changes something of the process.
Outcome run_meddling(const ScratchFolder& folder,
                     const std::string& what,
                     bool in_create,
                     const std::string& more = "") {
    std::ofstream(folder / "e.info")
        << "optimizee { use quadratic n 4 }\ncontestants { m { optimizer { use meddles what " + what +
               " in_create " + (in_create ? "true" : "false") +
               " } } }\nevaluate { instances 3 iterations 5 }\n";
    return run_l2o(folder,
                   "run e.info --no-report --out runs --plugin-path " L2O_BROKEN_PLUGINS " " + more,
                   "umask 022 &&");
}

struct Change {
    const char *what, *text;
};
constexpr Change kChanges[] = {{"locale", "the locale was 'C' and is "},
                               {"folder", "the working folder was '"},
                               {"umask", "the umask was 22 and is 777"},
                               {"handler", "the handler of signal 15 changed"},
                               {"environment", "the environment has 'L2O_MEDDLES=1' now"}};

}  // namespace

TEST_CASE("what a plugin changes of the process is put back, and a note names who did") {
    for (const auto& [what, text] : kChanges) {
        for (const bool in_create : {true, false}) {
            const auto& which = what;
            CAPTURE(which);
            CAPTURE(in_create);
            const ScratchFolder folder;
            const Outcome outcome = run_meddling(folder, what, in_create);
            CHECK(outcome.code == 0);
            const std::string who =
                in_create ? "optimizer 'meddles' on 'quadratic'" : "the evaluation of 'm'";
            CHECK(
                contains(outcome.err, "l2o: note: " + who + " changed the process that it runs in: " + text));
            CHECK(contains(outcome.err, "; what can be put back was\n"));
            // Written after all that: in the right folder, with the right mode.
            const std::filesystem::path runs = folder / "runs/e";
            REQUIRE(std::filesystem::is_directory(runs));
            for (const auto& run : std::filesystem::directory_iterator(runs))
                CHECK((std::filesystem::status(run.path() / "results.json").permissions() &
                       std::filesystem::perms::owner_read) != std::filesystem::perms::none);
            CHECK(run_meddling(folder, what, in_create, "--quiet").err == "");
        }
    }
}

TEST_CASE("descriptors that a plugin leaves open are told") {
    const ScratchFolder folder;
    const Outcome outcome = run_meddling(folder, "descriptor", true);
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.err, " -> /dev/null was left open"));
}

TEST_CASE("a plugin that changes the rounding changes no number but its own") {
    // The objective of every row at its end, which is the last column.
    const auto finals = [](const ScratchFolder& folder) {
        std::string objectives;
        for (const auto& run : std::filesystem::directory_iterator(folder / "runs/e")) {
            std::ifstream file(run.path() / "finals.csv");
            for (std::string line; std::getline(file, line);) objectives += line.substr(line.rfind(','));
        }
        return objectives;
    };
    for (const bool in_create : {true, false}) {
        CAPTURE(in_create);
        const ScratchFolder one, other;
        const Outcome outcome = run_meddling(one, "rounding", in_create);
        CHECK(outcome.code == 0);
        CHECK(contains(outcome.err,
                       "changed how this process computes (rounding, denormal numbers or traps: MXCSR "));
        (void)run_meddling(other, "descriptor", in_create);
        CHECK(finals(one) == finals(other));
        CHECK(finals(one).size() > 40);
    }
}

TEST_CASE("exit() and its kin in a plugin are an error that names it, never success") {
    for (const auto& [what, call] : {Change{"exits", "exit()"},
                                     {"quits", "quick_exit()"},
                                     {"leaves", "_exit()"},
                                     {"leaves_as_c", "_Exit()"}}) {
        for (const bool in_create : {true, false}) {
            const auto& which = what;
            CAPTURE(which);
            CAPTURE(in_create);
            const ScratchFolder folder;
            const Outcome outcome = run_meddling(folder, what, in_create);
            CHECK(outcome.code == 3);
            CHECK(contains(outcome.err, "l2o: error: plugin '"));
            CHECK(contains(outcome.err,
                           "l2o_optimizer_meddles.so' ended the program with " + std::string(call) +
                               ", in the middle of the work"));
            const std::string error =
                json::parse(run_meddling(folder, what, in_create, "--json").out).at("error");
            CHECK(contains(outcome.err, error));
        }
    }
}

#ifndef __SANITIZE_ADDRESS__  // which tells of crashes itself
TEST_CASE("a crash in a plugin is told in JSON, too, and ends the program by its signal") {
    for (const auto& [what, text] : {Change{"aborts", "Aborted"}, {"crashes", "Segmentation fault"}}) {
        for (const bool in_create : {true, false}) {
            const auto& which = what;
            CAPTURE(which);
            CAPTURE(in_create);
            const ScratchFolder folder;
            const Outcome outcome = run_meddling(folder, what, in_create, "--json");
            CHECK(outcome.code == 128 + (std::string(what) == "aborts" ? SIGABRT : SIGSEGV));
            const std::string error = json::parse(outcome.out).at("error");
            CHECK(contains(error, "l2o_optimizer_meddles.so' crashed: " + std::string(text)));
            CHECK(contains(outcome.err, "l2o: error: " + error + "\n"));
            CHECK(run_meddling(folder, what, in_create).out == "");
        }
    }
}
#endif

TEST_CASE("what a plugin prints does not come between what --json prints") {
    for (const bool in_create : {true, false}) {
        CAPTURE(in_create);
        const ScratchFolder folder;
        const Outcome outcome = run_meddling(folder, "prints", in_create, "--json");
        CHECK(outcome.code == 0);
        CHECK(json::parse(outcome.out).contains("folder"));
        CHECK(contains(outcome.err, "{ this is no JSON"));
    }
}
