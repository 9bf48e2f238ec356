#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/tiny_experiment.hpp"

using l2o::framework::read_file;
using l2o::framework::read_safetensors;
using l2o::test::contains;
using l2o::test::only_entry;
using l2o::test::Outcome;
using l2o::test::replaced;
using l2o::test::run_in_terminal;
using l2o::test::run_l2o;
using l2o::test::with_experiment;
using nlohmann::json;

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

TEST_CASE("if f is not finite at any start, that is told of the problem and not of who solves it") {
    ScratchFolder folder;
    std::ofstream(folder / "far.info") << "name far\noptimizee { use rastrigin\ninit_std 1e200 }\n"
                                          "contestants { a { optimizer { use gradient_descent } } }\n"
                                          "evaluate { instances 2\niterations 3 }\n";
    const Outcome outcome = run_l2o(folder, "run far.info");
    CHECK(outcome.code == 4);
    CHECK(contains(outcome.err,
                   "l2o: error: 'objective' is not finite at any starting point, before the first step: look "
                   "at the problem ('l2o check'), not at who solves it; "));
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
