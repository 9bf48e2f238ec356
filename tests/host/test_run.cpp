#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/file_handle.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::framework::read_file, l2o::framework::read_safetensors;
using l2o::test::contains, l2o::test::Outcome, l2o::test::run_in_terminal, l2o::test::run_l2o,
    l2o::test::run_until, l2o::test::has_printed_error;
using nlohmann::json;

namespace {

/// Two analytic optimizers and a learned one on small quadratics; the training takes a moment.
ScratchFolder& with_experiment(ScratchFolder& folder) {
    std::ofstream(folder / "tiny.info") << R"(
name tiny
seed 1
optimizee {
    use quadratic
    n 3
}
contestants {
    descent { optimizer { use gradient_descent learning_rate 0.02 } }
    adam { optimizer { use adam learning_rate 0.1 } }
    learned {
        optimizer { use l2o_dm hidden 4 }
        train {
            epochs 3
            horizon 10
            unroll 5
            batch 4
            loss { use trajectory_sum }
            meta_optimizer { use adam learning_rate 1e-3 }
        }
    }
}
evaluate {
    instances 8
    iterations 20
}
)";
    return folder;
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
    return text.replace(text.find(part), part.size(), by);
}

std::filesystem::path only_entry(const std::filesystem::path& folder) {
    std::filesystem::path found;
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        found = entry.path();
        ++count;
    }
    REQUIRE(count == 1);
    return found;
}

/// The bytes of the only weights that were trained under this root, without the time that it took.
std::string stored_weights(const std::filesystem::path& root) {
    std::string bytes;
    for (const auto& [name, tensor] : read_safetensors(only_entry(root / "weights")).tensors)
        bytes.append(static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes()));
    return bytes;
}

}  // namespace

TEST_CASE("the line of progress fits a narrow terminal, and one that is dumb gets whole lines") {
    ScratchFolder folder;
    with_experiment(folder);
    constexpr std::size_t kColumns = 24;
    const std::string shown = run_in_terminal(folder, kColumns, "train tiny.info learned");
    std::size_t lines = 0;
    for (std::size_t end = 0; (end = shown.find("\x1b[K", end)) != std::string::npos; ++end, ++lines) {
        const std::size_t begin = shown.rfind('\r', end);
        REQUIRE(begin != std::string::npos);
        CHECK_MESSAGE(end - begin - 1 < kColumns, shown.substr(begin + 1, end - begin - 1));
    }
    CHECK(lines >= 2);
    const std::string dumb = run_in_terminal(folder, kColumns, "train tiny.info learned --retrain", "dumb");
    CHECK(!contains(dumb, "\x1b"));
    CHECK(contains(dumb, "l2o: training learned"));
}

TEST_CASE(
    "l2o run trains, compares, shows a table and where the run folder is; then it finds the weights again") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome first = run_l2o(folder, "run tiny.info");
    CHECK(first.code == 0);
    for (const char* part : {"descent", "adam", "learned", "weights of learned: trained", "run folder: "}) {
        CAPTURE(part);
        CHECK(contains(first.out, part));
    }
    CHECK(contains(first.err, "l2o: training learned"));
    const std::filesystem::path run = only_entry(folder / "runs/tiny");
    CHECK(contains(first.out, run.filename().string()));
    for (const char* name : {"config.info", "environment.json", "curves.csv", "summary.csv"}) {
        CAPTURE(name);
        CHECK(std::filesystem::exists(run / name));
    }
    CHECK(json::parse(read_file(run / "environment.json")).at("build").at("type") == L2O_BUILD_TYPE);

    const Outcome again = run_l2o(folder, "run tiny.info --json --quiet");
    CHECK(again.refusal() == "0 ");
    const json result = json::parse(again.out);
    CHECK(result.at("weights").at(0).at("source") == "found again");
    REQUIRE(result.at("contestants").size() == 3);
    CHECK(result.at("contestants").at(1).at("name") == "adam");
    CHECK(result.at("contestants").at(1).at("gradients") == 20);
    CHECK(contains(run_l2o(folder, "run tiny.info --retrain").out, "weights of learned: trained"));
}

TEST_CASE("--json of a run has all of results.json, resumed and reported, too") {
    ScratchFolder folder;
    const Outcome first =
        run_l2o(with_experiment(folder), "run tiny.info evaluate.target=0.1 --json --no-report");
    REQUIRE(first.code == 0);
    const json told = json::parse(first.out);
    const std::string run = told.at("folder");
    const json written = json::parse(read_file(std::filesystem::path(run) / "results.json"));
    for (const char* key : {"runtimes", "dimension", "optima", "target", "reference", "rows", "iterations"}) {
        CAPTURE(key);
        CHECK(written.contains(key));
    }
    CHECK(written.at("contestants").at(2).at("training").at("meta_steps") == 6);
    CHECK(written.at("contestants").at(1).at("options").at("learning_rate") == "0.1");
    CHECK(written.at("contestants").at(0).at("metrics").at("objective").at("rows") == 8);
    CHECK(written.at("entries").at(0).at("gradients") == 20);
    const json resumed = json::parse(run_l2o(folder, "run --json --no-report --resume " + run).out),
               reported = json::parse(run_l2o(folder, "report --json " + run).out);
    for (const auto& item : written.items()) {
        const std::string& key = item.key();
        const json& value = item.value();
        CAPTURE(key);
        if (key == "written") continue;
        CHECK(told.at(key) == value);
        CHECK(resumed.at(key) == value);
        if (key != "files" && key != "instances" && key != "dimension" && key != "optima")  // of one run
            CHECK(reported.at(key) == value);
    }
}

TEST_CASE("a training that diverges ends with 4 and its words, trained or found again, and in the page") {
    ScratchFolder folder;
    with_experiment(folder);
    const std::string file = read_file(folder / "tiny.info");
    std::ofstream(folder / "tiny.info")
        << replaced(file, "adam learning_rate 1e-3", "adam learning_rate 1e30");
    const std::string words = "; diverged: its last parameters are of no use, earlier ones are kept; ";
    const Outcome trained = run_l2o(folder, "train tiny.info --output w.safetensors");
    CHECK(trained.code == 4);
    CHECK(contains(trained.out, "weights of learned: trained, "));
    CHECK(contains(trained.out, words));
    CHECK(contains(trained.out, "; no better than its start values on 16 validation instances: "));
    CHECK(contains(trained.err,
                   "l2o: error: the training of 'learned' diverged, and its weights are not what"));
    for (const char* verb : {"train", "evaluate", "run"}) {
        CAPTURE(verb);
        const Outcome found = run_l2o(folder, std::string(verb) + " tiny.info");
        CHECK(found.code == 4);
        CHECK(contains(found.out, "weights of learned: found again, "));
        CHECK(contains(found.out, words));
    }
    const Outcome again = run_l2o(folder, "run tiny.info --json --quiet");
    CHECK(again.code == 4);
    const json result = json::parse(again.out);
    CHECK(again.err == "l2o: error: " + result.at("error").get<std::string>() + "\n");
    const json& weights = result.at("weights").at(0);
    CHECK(weights.at("diverged") == true);
    CHECK(weights.at("improved") == false);
    CHECK(weights.at("skipped") == 3);
    CHECK(weights.at("validation").at("instances") == 16);
    CHECK(weights.at("remarks").size() == 3);
    CHECK(contains(read_file(result.at("report").get<std::string>()),
                   "Training of learned: diverged: its last parameters are of no use"));
    // Who names the weights has chosen them; what they are is told.
    std::ofstream(folder / "given.info") << "optimizee { use quadratic n 3 }\n"
                                            "contestants { learned { optimizer { use l2o_dm }\n"
                                            "weights w.safetensors } }\n";
    const Outcome given = run_l2o(folder, "evaluate given.info");
    CHECK(given.code == 0);
    CHECK(contains(given.out, "weights of learned: given, "));
    CHECK(contains(given.out, words));
}

TEST_CASE("l2o run writes a report unless told not to, and l2o report writes it again from the folder") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome plain = run_l2o(folder, "run tiny.info --no-report --json --quiet");
    REQUIRE(plain.refusal() == "0 ");
    CHECK(json::parse(plain.out).at("report").is_null());
    const std::string run = json::parse(plain.out).at("folder");
    const Outcome resumed = run_l2o(folder, "run --resume '" + run + "' --json --quiet");
    CHECK(json::parse(resumed.out).at("report").is_null());
    CHECK(!std::filesystem::exists(run + "/report.html"));
    const Outcome again = run_l2o(folder, "report --quiet '" + run + "'");
    CHECK(again.refusal() == "0 ");
    CHECK(again.out == "report: " + run + "/report.html\n");
    const std::string page = read_file(run + "/report.html");
    CHECK(contains(page, "Against descent"));
    CHECK(contains(page, "training of learned"));

    std::filesystem::create_directories(folder / "bin");
    std::ofstream(folder / "bin/gnuplot") << "#!/bin/sh\necho 'line 1: no space left' >&2\nexit 1\n";
    std::filesystem::permissions(folder / "bin/gnuplot", std::filesystem::perms::owner_all);
    const Outcome failed =
        run_l2o(folder, "report '" + run + "'", "PATH='" + (folder / "bin").string() + ":/usr/bin:/bin'");
    CHECK(failed.refusal() ==
          "5 l2o: error: " + run +
              "/report.html was written with tables only: There are no pictures: gnuplot failed: line 1: no "
              "space left\n");
    CHECK(contains(read_file(run + "/report.html"), "gnuplot failed: line 1: no space left."));
    const Outcome quiet =
        run_l2o(folder, "run tiny.info --quiet", "PATH='" + (folder / "bin").string() + ":/usr/bin:/bin'");
    CHECK(quiet.code == 5);
    CHECK(contains(quiet.err, "was written with tables only: There are no pictures: gnuplot failed"));
    CHECK(contains(quiet.out, "against descent"));

    const Outcome reported = run_l2o(folder, "run tiny.info", "PATH=/nowhere");
    CHECK(reported.code == 0);
    CHECK(contains(reported.err, "gnuplot is not installed"));
    CHECK(contains(reported.out, "/report.html\n"));
    CHECK(contains(reported.out, "against descent"));

    CHECK(contains(run_l2o(folder, "report").refusal(), "2 l2o: error: a run folder is missing"));
    CHECK(contains(run_l2o(folder, "report nowhere").refusal(), "5 l2o: error: nowhere has no config.info"));
    CHECK(contains(run_l2o(folder, "report a b").refusal(), "2 l2o: error: a report of several runs"));
}

TEST_CASE("the results do not depend on the number of threads") {
    ScratchFolder folder;
    with_experiment(folder);
    std::string finals[2];
    for (const int threads : {1, 2}) {
        const std::string out = " --out runs" + std::to_string(threads);
        const Outcome outcome = run_l2o(folder,
                                        "run tiny.info --json contestants.learned.train.batch=70 "
                                        "evaluate.instances=70 --threads " +
                                            std::to_string(threads) + out);
        REQUIRE(outcome.code == 0);
        const json result = json::parse(outcome.out);
        for (const json& contestant : result.at("contestants"))
            finals[threads - 1] += contestant.at("metrics").dump();
    }
    CHECK(finals[0] == finals[1]);
}

TEST_CASE("--print-config shows what the settings made of the file, and runs nothing") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome shown = run_l2o(
        folder, "run tiny.info evaluate.iterations=7 --set evaluate.instances=5 --seed 9 --print-config");
    CHECK(shown.refusal() == "0 ");
    CHECK(contains(shown.out, "iterations 7"));
    CHECK(contains(shown.out, "instances 5"));
    CHECK(contains(shown.out, "seed 9"));
    CHECK(!std::filesystem::exists(folder / "runs"));
    std::ofstream(folder / "shown.info") << shown.out;
    CHECK(run_l2o(folder, "run shown.info --print-config").out == shown.out);
    const json told = json::parse(run_l2o(folder, "run shown.info --print-config --json").out);
    CHECK(told == json{{"experiment", "tiny"}, {"config", shown.out}});
}

TEST_CASE("what is wrong with an experiment is told with the exit code of its kind") {
    ScratchFolder folder;
    with_experiment(folder);
    CHECK(contains(run_l2o(folder, "run").refusal(), "2 l2o: error: an experiment file is missing"));
    CHECK(contains(run_l2o(folder, "run none.info").refusal(),
                   "5 l2o: error: cannot read the configuration 'none.info'"));
    CHECK(contains(run_l2o(folder, "run tiny.info more").refusal(),
                   "2 l2o: error: 'more' is one word too many; expected key.path=value"));
    CHECK(contains(run_l2o(folder, "run tiny.info evaluate.iteration=7").refusal(), "2 l2o: error: "));
    CHECK(contains(run_l2o(folder, "run tiny.info contestants.adam.optimizer.use=adan").refusal(),
                   "unknown optimizer 'adan'; did you mean 'adam'?"));
    CHECK(contains(run_l2o(folder, "run tiny.info --resume runs").refusal(),
                   "2 l2o: error: --resume goes on with the experiment of its run folder"));
    CHECK(contains(run_l2o(folder, "run --resume nowhere").refusal(), "5 l2o: error: nowhere"));
    CHECK(contains(run_l2o(folder, "run tiny.info --out /proc/no").refusal(), "5 l2o: error: /proc/no"));
}

TEST_CASE("a training that cannot be is refused by its contestant, before any other is trained") {
    ScratchFolder folder;
    with_experiment(folder);
    const std::string later = "run tiny.info contestants.later.optimizer.use=l2o_dm ";
    CHECK(run_l2o(folder, later + "contestants.later.train.schedule=layerwise").refusal() ==
          "2 l2o: error: contestants.later: train.schedule is 'layerwise'; optimizer 'l2o_dm' has no layers, "
          "use 'flat'\n");
    CHECK(contains(run_l2o(folder, later + "contestants.later.train.loss.use=final_objective").refusal(),
                   "2 l2o: error: contestants.later: train.unroll is 20 and train.horizon 100: loss "));
    CHECK(!std::filesystem::exists(folder / "runs"));
}

TEST_CASE("what a training took is told with the time of the weights that it started from") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome first = run_l2o(folder, "train tiny.info");
    CHECK_MESSAGE(first.code == 0, first.err);
    CHECK(!contains(first.out, "started from"));
    const std::string warm = "train tiny.info contestants.learned.train.warm_start=" +
                             only_entry(folder / "runs" / "weights").string();
    CHECK(contains(run_l2o(folder, warm).out, " with what it started from"));
}

TEST_CASE("if every contestant diverges the exit code is 4") {
    ScratchFolder folder;
    std::ofstream(folder / "wild.info") << "name wild\noptimizee { use quadratic }\n"
                                           "contestants { wild { optimizer { use gradient_descent\n"
                                           "learning_rate 1e9 } } }\n"
                                           "evaluate { instances 2\niterations 100 }\n";
    const Outcome outcome = run_l2o(folder, "run wild.info");
    CHECK(outcome.code == 4);
    CHECK(contains(outcome.out, "\nwild                  diverged  diverged .. diverged  "));
    CHECK(contains(outcome.out, "\nwild: 2 of 2 rows are not finite at the end\n"));
    CHECK(contains(outcome.err, "l2o: error: every trajectory of every contestant diverged"));
    CHECK(contains(outcome.out, "run folder: "));
}

TEST_CASE("l2o train writes weights that l2o evaluate takes, by hand or found again") {
    ScratchFolder folder;
    with_experiment(folder);
    CHECK(contains(run_l2o(folder, "evaluate tiny.info").refusal(), "2 l2o: error: contestants.learned: "));
    const Outcome trained = run_l2o(folder, "train tiny.info learned --output w.safetensors");
    CHECK(trained.code == 0);
    CHECK(contains(trained.out, "weights of learned: trained"));
    CHECK(read_safetensors(folder / "w.safetensors").metadata.at("l2o.optimizer") == "l2o_dm");

    const Outcome found = run_l2o(folder, "evaluate tiny.info --json");
    CHECK(json::parse(found.out).at("weights").at(0).at("source") == "found again");
    const Outcome given =
        run_l2o(folder, "evaluate tiny.info --json --out other --weights learned=w.safetensors");
    CHECK(json::parse(given.out).at("weights").at(0).at("source") == "given");
    const auto metrics = [](const Outcome& outcome) {
        return json::parse(outcome.out).at("contestants").at(2).at("metrics");
    };
    CHECK(metrics(given) == metrics(found));

    for (const char* input : {"tiny.info", "./tiny.info", "link"}) {
        std::error_code exists;
        std::filesystem::create_symlink("tiny.info", folder / "link", exists);
        const Outcome over = run_l2o(folder, std::string("train tiny.info learned --output ") + input);
        CHECK(over.refusal() == "2 l2o: error: --output is '" + std::string(input) +
                                    "', which is tiny.info itself, a file that is read; expected another "
                                    "name; see 'l2o train --help'\n");
    }
    CHECK(contains(run_l2o(folder, "train tiny.info lerned").refusal(),
                   "2 l2o: error: unknown contestant 'lerned'; did you mean 'learned'?"));
    CHECK(contains(run_l2o(folder, "train tiny.info adam").refusal(),
                   "2 l2o: error: 'adam' is not trained; expected a contestant that is: learned"));
    CHECK(contains(run_l2o(folder, "evaluate tiny.info --weights lerned=w.safetensors").refusal(),
                   "2 l2o: error: unknown contestant 'lerned'; did you mean 'learned'?"));
    CHECK(contains(run_l2o(folder, "evaluate tiny.info --weights w.safetensors").refusal(),
                   "2 l2o: error: --weights is 'w.safetensors'; expected key=value"));
    CHECK(contains(run_l2o(folder, "evaluate tiny.info --weights adam=w.safetensors").refusal(),
                   "2 l2o: error: "));
}

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

namespace {

/// A file system of its own under a folder, until the end of the scope.
class Disk {
  public:
    Disk(std::filesystem::path where, const char* options) : where_(std::move(where)) {
        std::filesystem::create_directory(where_);
        is_mounted_ = ::mount("tmpfs", where_.c_str(), "tmpfs", 0, options) == 0;
    }
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;
    ~Disk() {
        if (is_mounted_) ::umount2(where_.c_str(), MNT_DETACH);
    }
    explicit operator bool() const {
        if (!is_mounted_) MESSAGE("SKIPPED: not allowed to mount a file system here");
        return is_mounted_;
    }
    void make_read_only() const {
        REQUIRE(::mount("tmpfs", where_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "") == 0);
    }

  private:
    std::filesystem::path where_;
    bool is_mounted_ = false;
};

}  // namespace

TEST_CASE("a disk that fills up in a training is told, what was written before stays, and --resume goes on") {
    ScratchFolder folder;
    with_experiment(folder);
    const Disk disk(folder / "disk", "size=256k");
    if (!disk) return;
    const std::string longer =
        "run tiny.info --quiet --out disk contestants.learned.train.epochs=4000 "
        "contestants.learned.train.checkpoint_every_s=0.01";
    const Outcome full = run_l2o(folder, longer);
    CHECK(full.code == 5);
    CHECK(contains(full.err, "No space left on device; check the free space and the quota"));
    const std::filesystem::path run = only_entry(folder / "disk/tiny");
    CHECK_NOTHROW((void)read_safetensors(run / "checkpoints/learned.train.safetensors"));
    REQUIRE(::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
    CHECK(run_l2o(folder, "run --quiet --resume '" + run.string() + "'").refusal() == "0 ");
    CHECK(run_l2o(folder, replaced(longer, "disk", "elsewhere")).code == 0);
    CHECK(stored_weights(folder / "disk") == stored_weights(folder / "elsewhere"));
}

TEST_CASE("a folder that cannot be written is told, and nothing is trained for it") {
    ScratchFolder folder;
    with_experiment(folder);
    const Disk disk(folder / "disk", "size=256k");
    if (!disk) return;
    disk.make_read_only();
    const Outcome outcome = run_l2o(folder, "run tiny.info --out disk");
    CHECK(outcome.code == 5);
    CHECK(contains(outcome.err, "Read-only file system"));
    CHECK(!contains(outcome.err, "training"));
}

TEST_CASE("started without stdin, stdout and stderr a run writes its files, and nothing else into them") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome outcome =
        run_l2o(folder, "run tiny.info --no-report", R"(sh -c 'exec "$@" <&- >&- 2>&-' sh)");
    CHECK(outcome.code == 0);
    std::istringstream metrics(read_file(only_entry(folder / "runs/tiny") / "metrics.jsonl"));
    int lines = 0;
    for (std::string text; std::getline(metrics, text); ++lines) CHECK(json::accept(text));
    CHECK(lines == 3);
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

TEST_CASE("an experiment may come through a pipe, also where its text is needed twice") {
    ScratchFolder folder;
    with_experiment(folder);
    const std::string from_pipe = "mkfifo f && { cat tiny.info >f & } &&";
    CHECK(run_l2o(folder, "train f learned --output w.safetensors", from_pipe).code == 0);
    std::filesystem::remove(folder / "f");
    const Outcome evaluated =
        run_l2o(folder, "evaluate f --no-report --weights learned=w.safetensors", from_pipe);
    CHECK_MESSAGE(evaluated.code == 0, evaluated.err);
    CHECK(contains(evaluated.out, "weights of learned: given"));
}

TEST_CASE(
    "a run in a working folder that was removed works with absolute paths, and says what a relative one "
    "lacks") {
    ScratchFolder folder;
    with_experiment(folder);
    const std::string gone = "mkdir gone && cd gone && rmdir ../gone &&", here = (folder / "").string();
    CHECK(run_l2o(folder, "run --quiet " + here + "tiny.info --out " + here + "out", gone).refusal() == "0 ");
    CHECK(std::filesystem::exists(folder / "out/tiny"));
    CHECK(run_l2o(folder, "run --quiet " + here + "tiny.info", gone).refusal() ==
          "5 l2o: error: runs: is relative to the working folder, which is gone: No such file or directory; "
          "change "
          "to another folder, or give the path from the root on\n");
}
