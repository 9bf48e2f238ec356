#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/file_handle.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/tiny_experiment.hpp"

using l2o::framework::read_file;
using l2o::framework::read_safetensors;
using l2o::test::contains;
using l2o::test::has_printed_error;
using l2o::test::only_entry;
using l2o::test::Outcome;
using l2o::test::run_l2o;
using l2o::test::run_until;
using l2o::test::stored_weights;
using l2o::test::with_experiment;
using nlohmann::json;

namespace {

/// Whether any training under this root has recorded an epoch.
bool has_recorded(const std::filesystem::path& root) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root, gone))
        if (entry.path().filename() == "metrics.jsonl" && entry.file_size(gone) > 0) return true;
    return false;
}

/// A training that nobody sees the end of, stopped by a signal once it has begun.
Outcome stopped_by(int signal, const ScratchFolder& folder, const std::string& arguments) {
    const std::string root = folder / "my runs";
    return run_until(
        folder, L2O_PROGRAM, arguments, [&](pid_t) { return has_recorded(root); }, signal);
}

/// The command that a message advises.
std::string advised(const Outcome& outcome) {
    const std::string before = "; go on with: l2o ";
    const std::size_t begin = outcome.err.find(before);
    REQUIRE(begin != std::string::npos);
    const std::size_t end = outcome.err.find('\n', begin);
    return outcome.err.substr(begin + before.size(), end - begin - before.size());
}

/// What such a command says of the plugins that the tests find by L2O_PLUGIN_PATH.
std::string plugin_folders() {
    std::string words;
    std::istringstream folders(std::getenv("L2O_PLUGIN_PATH"));
    for (std::string folder; std::getline(folders, folder, ':');) words += " --plugin-path " + folder;
    return words;
}

constexpr const char* kEndless = " contestants.learned.train.epochs=100000000 --out 'my runs' ";

}  // namespace

TEST_CASE("Ctrl-C in a training is exit code 130; --resume ends with the weights of an undisturbed run") {
    // As soon as an epoch is recorded. A training that was done before that was seen was too short for this
    // machine at this moment.
    std::string longer;
    Outcome stopped;
    std::optional<ScratchFolder> kept;
    for (int epochs = 1000; stopped.code <= 0; epochs *= 2) {
        with_experiment(kept.emplace());
        longer = " tiny.info contestants.learned.train.epochs=" + std::to_string(epochs);
        stopped = run_until(*kept, L2O_PROGRAM, "run" + longer, [&](pid_t) {
            for (const auto& entry : std::filesystem::recursive_directory_iterator(*kept / ""))
                if (entry.path().filename() == "metrics.jsonl" && entry.file_size() > 0) return true;
            return false;
        });
    }
    const ScratchFolder& folder = *kept;
    REQUIRE(contains(stopped.refusal(), "130 l2o: "));
    const std::filesystem::path run = only_entry(folder / "runs/tiny");
    CHECK(contains(stopped.err, "l2o run --resume "));
    CHECK(contains(stopped.err, run.filename().string()));
    CHECK(run_l2o(folder, "run --resume '" + run.string() + "'").code == 0);
    CHECK(run_l2o(folder, "train" + longer + " --out undisturbed").code == 0);
    CHECK(stored_weights(folder / "runs") == stored_weights(folder / "undisturbed"));
}

TEST_CASE("a hang-up is an interruption: all that was trained is kept, exit code 130; nohup ignores it") {
    for (const int signal : {SIGHUP, SIGTERM, SIGINT}) {
        CAPTURE(signal);
        ScratchFolder folder;
        with_experiment(folder);
        const Outcome stopped = stopped_by(
            signal,
            folder,
            std::string("run tiny.info contestants.learned.train.checkpoint_every_s=1e6") + kEndless);
        CHECK(contains(stopped.refusal(), "130 l2o: "));
        const std::filesystem::path run = only_entry(folder / "my runs/tiny");
        const std::string log = read_file(run / "metrics.jsonl");
        const json cursor = json::parse(
            read_safetensors(run / "checkpoints/learned.train.safetensors").metadata.at("l2o.checkpoint"));
        CHECK(cursor.at("records") == std::count(log.begin(), log.end(), '\n'));
        CHECK(cursor.at("records") > 0);
    }
    ScratchFolder folder;
    with_experiment(folder);
    const std::string root = folder / "my runs";
    std::int64_t seen = 0;
    // It is sent a hang-up, and goes on recording until it is interrupted.
    const Outcome stopped =
        run_until(folder, "nohup", std::string(L2O_PROGRAM) + " run tiny.info" + kEndless, [&](pid_t l2o) {
            if (!has_recorded(root)) return false;
            const auto size = static_cast<std::int64_t>(
                std::filesystem::file_size(only_entry(folder / "my runs/tiny") / "metrics.jsonl"));
            if (seen == 0) {
                ::kill(l2o, SIGHUP);
                seen = size;
            }
            return size > seen + 10'000;
        });
    CHECK(stopped.code == 130);
    CHECK(contains(stopped.err, "at epoch "));
}

TEST_CASE("an interrupted training of one contestant advises a command that goes on with it alone") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome stopped = stopped_by(
        SIGINT,
        folder,
        std::string("train tiny.info learned contestants.other.optimizer.use=l2o_dm "
                    "contestants.other.train.epochs=2 contestants.other.train.batch=4 --plugin-path .") +
            kEndless);
    REQUIRE(stopped.code == 130);
    const std::string command = advised(stopped), run = only_entry(folder / "my runs/tiny");
    CHECK(command == "run --resume '" + run + "' --plugin-path " +
                         (folder / ".").lexically_normal().string() + plugin_folders());
    const std::string log = run + "/metrics.jsonl";
    const auto size = std::filesystem::file_size(log);
    const Outcome again = run_until(
        folder, L2O_PROGRAM, command, [&](pid_t) { return std::filesystem::file_size(log) > size + 1000; });
    CHECK(again.code == 130);
    CHECK(contains(again.err, "l2o: training learned"));
    CHECK(!contains(read_file(log), "other"));
    CHECK(advised(again) == command);

    std::filesystem::remove(folder / ".stderr");  // of that one
    const Outcome named =
        run_until(folder, L2O_PROGRAM, "train --resume '" + run + "' learned --output 'w 1'", [&](pid_t) {
            return has_printed_error(folder, "training learned");
        });
    CHECK(named.code == 130);
    CHECK(advised(named) == "train --resume '" + run + "'" + plugin_folders() + " learned --output '" +
                                (folder / "w 1").string() + "'");
    CHECK(contains(run_l2o(folder, "train --resume '" + run + "' other").refusal(),
                   "2 l2o: error: unknown contestant 'other'"));
    CHECK(contains(run_l2o(folder, "train --resume '" + run + "' learned a=1").refusal(),
                   "2 l2o: error: --resume goes on with the experiment of its run folder"));
}

TEST_CASE("a training that two processes want at once is done by one of them") {
    ScratchFolder folder;
    with_experiment(folder);
    const std::string command = std::string("train tiny.info learned") + kEndless;
    const Outcome first = run_until(folder, L2O_PROGRAM, command, [&](pid_t process) {
        if (!has_recorded(folder / "my runs")) return false;
        const ScratchFolder elsewhere;  // for what it prints
        const std::string file = (folder / "tiny.info").string(), root = (folder / "my runs").string();
        const Outcome second = run_until(
            elsewhere,
            L2O_PROGRAM,
            "train '" + file + "' learned contestants.learned.train.epochs=100000000 --out '" + root + "'",
            [&](pid_t) { return has_printed_error(elsewhere, "waiting for"); });
        CHECK(second.code == 130);
        CHECK(contains(second.err,
                       "l2o: note: waiting for the training of 'learned' by process " +
                           std::to_string(process) + " in " + root));
        CHECK(!contains(second.err, "training learned"));
        return true;
    });
    CHECK(first.code == 130);
}

TEST_CASE("a run folder that another l2o is at work in is refused") {
    ScratchFolder folder;
    with_experiment(folder);
    REQUIRE(run_l2o(folder, "run tiny.info").code == 0);
    const std::filesystem::path run = only_entry(folder / "runs/tiny");
    const std::string again = "run --resume '" + run.string() + "'";
    {
        const l2o::framework::FileHandle theirs(run, O_RDONLY | O_DIRECTORY);
        REQUIRE(::flock(theirs.descriptor(), LOCK_EX) == 0);
        CHECK(contains(run_l2o(folder, again).refusal(),
                       "5 l2o: error: " + run.string() + ": another l2o is at work in this folder"));
    }
    CHECK(run_l2o(folder, again).code == 0);
}

TEST_CASE(
    "a training outlives whoever followed its progress, and nobody to read the result ends it as filters "
    "end") {
    ScratchFolder folder;
    with_experiment(folder);
    // Descriptor 3 is the end of a pipe that has no other.
    const std::string pipe = "mkfifo p && exec 4<>p 3>p 4<&-;";
    const Outcome trained =
        run_l2o(folder, "run tiny.info --no-report", pipe + R"( sh -c 'exec "$@" 2>&3' sh)");
    CHECK(trained.code == 0);
    CHECK(contains(trained.out, "weights of learned: trained"));
    std::filesystem::remove(folder / "p");
    const Outcome listed = run_l2o(folder, "list", pipe + R"( sh -c 'exec "$@" >&3' sh)");
    CHECK(listed.code == 128 + SIGPIPE);
    CHECK(listed.err.empty());
}
