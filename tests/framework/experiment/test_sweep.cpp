#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/experiment/run.hpp"
#include "framework/experiment/sweep.hpp"
#include "framework/experiment/training_hash.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;
using Names = std::vector<std::string>;
using Swept = std::vector<std::pair<std::string, std::string>>;

namespace {

Experiment read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return read_experiment(catalog(), Config::parse(text, "dir/run.info", overrides));
}

std::string refused(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return refusal([&] { (void)read(text, overrides); });
}

Names names_of(const Experiment& experiment) {
    Names names;
    for (const Contestant& contestant : experiment.contestants) names.push_back(contestant.name);
    return names;
}

const std::string kProblem = "optimizee { use quadratic\n n 3 }\n";

/// One classic contestant with these options, in line 4.
std::string adam(const std::string& options, const std::string& more = "") {
    return kProblem + "contestants {\n adam { optimizer { use adam " + options + " }\n" + more + " } }\n";
}

const std::string kSparse = "optimizee { use sparse_recovery\n m 8\n n 16 }\n";

/// One learned contestant with this shared `train`, in line 4, and these options and `train` of its own.
std::string lista(const std::string& shared, const std::string& options, const std::string& own = "") {
    return kSparse + "train { " + shared + " }\ncontestants { lista { optimizer { use lista " + options +
           " }\n" + (own.empty() ? "" : "train { " + own + " }\n") + "} }\n";
}

std::string option(const Contestant& contestant, const std::string& key) {
    return contestant.optimizer.resolve().canonical().at(key);
}

}  // namespace

TEST_CASE("sweep: a contestant for each value, in the place of the one that is written") {
    const Experiment experiment =
        read(kProblem +
             "contestants { a { optimizer { use gradient_descent } }\n"
             "adam { optimizer { use adam\n learning_rate { sweep 0.003 0.01 3e-2 } } }\n"
             "b { optimizer { use gradient_descent } } }\n");
    CHECK(names_of(experiment) ==
          Names{"a", "adam.learning_rate=0.003", "adam.learning_rate=0.01", "adam.learning_rate=3e-2", "b"});
    CHECK(option(experiment.contestants[1], "learning_rate") == "0.003");
    CHECK(option(experiment.contestants[3], "learning_rate") == "0.03");
    CHECK(experiment.contestants[3].group == "adam");
    CHECK(experiment.contestants[3].swept == Swept{{"optimizer.learning_rate", "3e-2"}});
    CHECK(experiment.contestants[0].group == "a");
    CHECK(experiment.contestants[0].swept.empty());
    CHECK(experiment.evaluate.reference == "a");
}

TEST_CASE("sweep: several keys make all combinations, the last of them fastest") {
    const Experiment experiment = read(adam("learning_rate { sweep 1 2 } beta1 { sweep linear 0 0.5 3 }"));
    CHECK(names_of(experiment) == Names{"adam.learning_rate=1,beta1=0",
                                        "adam.learning_rate=1,beta1=0.25",
                                        "adam.learning_rate=1,beta1=0.5",
                                        "adam.learning_rate=2,beta1=0",
                                        "adam.learning_rate=2,beta1=0.25",
                                        "adam.learning_rate=2,beta1=0.5"});
    CHECK(option(experiment.contestants[4], "learning_rate") == "2");
    CHECK(option(experiment.contestants[4], "beta1") == "0.25");
    CHECK(experiment.contestants[4].swept ==
          Swept{{"optimizer.learning_rate", "2"}, {"optimizer.beta1", "0.25"}});
}

TEST_CASE("sweep: keys of one zip advance together, and the others make combinations with them") {
    const Experiment experiment = read(
        adam("learning_rate { sweep 1 2 zip z } beta1 { sweep 0.1 0.2 }\n beta2 { sweep 0.8 0.9 zip z }"));
    CHECK(names_of(experiment) == Names{"adam.learning_rate=1,beta1=0.1,beta2=0.8",
                                        "adam.learning_rate=1,beta1=0.2,beta2=0.8",
                                        "adam.learning_rate=2,beta1=0.1,beta2=0.9",
                                        "adam.learning_rate=2,beta1=0.2,beta2=0.9"});
    CHECK(option(experiment.contestants[1], "beta2") == "0.8");
    CHECK(option(experiment.contestants[2], "beta2") == "0.9");
    // Not every combination of these, so that values may be there twice.
    CHECK(names_of(read(adam("learning_rate { sweep 1 1 2 zip z } beta1 { sweep 0.1 0.2 0.2 zip z }"))) ==
          Names{"adam.learning_rate=1,beta1=0.1",
                "adam.learning_rate=1,beta1=0.2",
                "adam.learning_rate=2,beta1=0.2"});
}

TEST_CASE("sweep: settings of the safeguard, of continue_with and of the training are swept as well") {
    const Experiment experiment =
        read(kSparse +
             "contestants { a { optimizer { use lista }\n safeguard { use ista\n theta { sweep 0.5 0.9 } }\n"
             "continue_with { use { sweep ista fista } }\n"
             "train { epochs 3\n loss { use { sweep trajectory_sum mse_to_solution } }\n"
             "meta_optimizer { learning_rate { sweep 1e-3 1e-2 } } } } }\n");
    REQUIRE(experiment.contestants.size() == 16);
    CHECK(experiment.contestants[0].name ==
          "a.theta=0.5,continue_with.use=ista,loss.use=trajectory_sum,learning_rate=1e-3");
    const Contestant& last = experiment.contestants[15];
    CHECK(last.safeguard.value().rule.theta == 0.9);
    CHECK(last.continue_with.value().id() == "fista");
    CHECK(last.train.value().loss.id() == "mse_to_solution");
    CHECK(last.train->meta_optimizer.resolve().canonical().at("learning_rate") == "0.01");
    CHECK(last.train->epochs == 3);
}

TEST_CASE(
    "sweep: what the shared training sweeps is swept for everybody who is trained, and does not set it") {
    const auto names = [](const std::string& contestants, const std::vector<std::string>& overrides = {}) {
        return names_of(read(
            kSparse + "train { epochs { sweep 1 2 } }\ncontestants { " + contestants + " }\n", overrides));
    };
    CHECK(names("a { optimizer { use ista } }\n b { optimizer { use lista } }\n"
                "c { optimizer { use lista } train { epochs 3 } }\n"
                "d { optimizer { use lista } train { epochs { sweep 5 6 7 } } }\n"
                "e { optimizer { use lista layers { sweep 2 3 } } }") == Names{"a",
                                                                               "b.epochs=1",
                                                                               "b.epochs=2",
                                                                               "c",
                                                                               "d.epochs=5",
                                                                               "d.epochs=6",
                                                                               "d.epochs=7",
                                                                               "e.layers=2,epochs=1",
                                                                               "e.layers=2,epochs=2",
                                                                               "e.layers=3,epochs=1",
                                                                               "e.layers=3,epochs=2"});
    CHECK(names("b { optimizer { use lista } }", {"train.epochs=7"}) == Names{"b"});
    CHECK(names("b { optimizer { use lista } }", {"contestants.b.train.epochs=7"}) == Names{"b"});
    // Another plugin's options are another section.
    const std::string rates = "train { meta_optimizer { use adam\n learning_rate { sweep 1 2 } } }\n";
    CHECK(names_of(read(kSparse + rates +
                        "contestants { a { optimizer { use lista } }\n b { optimizer { use lista }\n train { "
                        "meta_optimizer { use gradient_descent } } } }\n")) ==
          Names{"a.learning_rate=1", "a.learning_rate=2", "b"});
    // Where nobody is trained, or everybody sets it, it is checked all the same.
    CHECK(refused(lista("warm_start { sweep log 1 }", "", "warm_start w")) ==
          "2 dir/run.info:4: train.warm_start.sweep is 'log 1'; expected 'log FROM TO COUNT' with two "
          "different "
          "numbers > 0 and a whole one in [2, 256]");
    CHECK(refused(kSparse + "train { epochs { sweep 1 x } }\ncontestants { a { optimizer { use ista } } }\n")
              .find("run.info:4: train.epochs is 'x'; expected a whole number") != std::string::npos);
}

TEST_CASE("sweep: the weights of a swept contestant are those of the same settings written out") {
    const Experiment swept = read(lista("epochs { sweep 5 6 }\n horizon 4",
                                        "layers { sweep 3 4 }",
                                        "meta_optimizer { learning_rate { sweep log 1e-3 1e-1 3 } }"));
    REQUIRE(swept.contestants.size() == 12);
    for (const Contestant& contestant : swept.contestants) {
        CAPTURE(contestant.name);
        std::vector<std::string> settings;
        for (const auto& [key, value] : contestant.swept)
            settings.push_back("contestants.lista." + key + "=" + value);
        CHECK(contestant.hash == read(lista("horizon 4", ""), settings).contestants.at(0).hash);
    }
    // That of a default that another plugin's section begins with, too.
    const Experiment meta =
        read(lista("horizon 4", "", "meta_optimizer { use { sweep adam gradient_descent } }"));
    CHECK(meta.contestants[0].hash == read(lista("horizon 4", "")).contestants[0].hash);
    CHECK(meta.contestants[1].hash ==
          read(lista("horizon 4", "", "meta_optimizer { use gradient_descent }")).contestants[0].hash);
}

TEST_CASE("sweep: the written configuration keeps the sweeps, and reads back as the same experiment") {
    const Experiment first =
        read(lista("horizon { sweep 4 5 }", "layers { sweep linear 2 4 3 }"), {"seed=5"});
    CHECK(first.info.find("sweep \"linear 2 4 3\"") != std::string::npos);
    const Experiment again = read_experiment(catalog(), Config::parse(first.info, "elsewhere/config.info"));
    CHECK(again.info == first.info);
    CHECK(again.hash == first.hash);
    CHECK(names_of(again) == names_of(first));
    for (std::size_t i = 0; i < first.contestants.size(); ++i)
        CHECK(again.contestants[i].hash == first.contestants[i].hash);
}

TEST_CASE(
    "sweep: paths are relative to their file, absolute in the written configuration, numbers in names") {
    const ScratchFolder folder;
    for (const char* name : {"a b", "c"})
        write_safetensors(folder / name, {}, {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}});
    const std::string text =
        kSparse + "contestants { a { optimizer { use lista }\n weights { sweep \"a b\" c } } }\n";
    const Experiment experiment = read_experiment(catalog(), Config::parse(text, folder / "run.info"));
    CHECK(names_of(experiment) == Names{"a.weights=1", "a.weights=2"});
    CHECK(experiment.contestants[0].weights == folder / "a b");
    CHECK(experiment.contestants[1].swept == Swept{{"weights", "c"}});
    const Experiment again =
        read_experiment(catalog(), Config::parse(experiment.info, "elsewhere/config.info"));
    CHECK(again.contestants[0].weights == folder / "a b");
    CHECK(again.contestants[1].weights == folder / "c");
    CHECK(again.info == experiment.info);
}

TEST_CASE("sweep: weights with a number are those of that member alone, which is not trained") {
    const ScratchFolder folder;
    write_safetensors(folder / "w", {}, {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}});
    const std::string text = lista("horizon 4", "layers { sweep 2 3 }", "epochs 3");
    const Experiment experiment = read(text, {"contestants.lista.weights.2=" + (folder / "w").string()});
    CHECK(names_of(experiment) == Names{"lista.layers=2", "lista.layers=3"});
    CHECK(experiment.contestants[0].train.has_value());
    CHECK(experiment.contestants[0].hash == read(text).contestants[0].hash);
    CHECK_FALSE(experiment.contestants[1].train.has_value());
    CHECK(experiment.contestants[1].weights == folder / "w");
    const Experiment again =
        read_experiment(catalog(), Config::parse(experiment.info, "elsewhere/config.info"));
    CHECK(again.contestants[1].weights == folder / "w");
    for (const char* number : {"0", "3", "x"})
        CHECK(refused(text, {std::string("contestants.lista.weights.") + number + "=w"}) ==
              std::string("2 --set: unknown key 'contestants.lista.weights.") + number +
                  "'; expected the number of a member, 1 to 2");
}

TEST_CASE("sweep: the reference may be a member; a group's name is refused with its members") {
    const std::string text = adam("learning_rate { sweep 1 2 }");
    CHECK(read(text).evaluate.reference == "adam.learning_rate=1");
    CHECK(read(text + "evaluate { reference adam.learning_rate=2 }\n").evaluate.reference ==
          "adam.learning_rate=2");
    CHECK(refused(text + "evaluate { reference adam }\n") ==
          "2 dir/run.info:6: evaluate.reference is 'adam', which stands for 2 contestants; expected one of "
          "them: adam.learning_rate=1, adam.learning_rate=2");
    CHECK(refused(text + "evaluate { reference adam.learning_rate=3 }\n")
              .find("expected the name of a contestant; did you mean 'adam.learning_rate=") !=
          std::string::npos);
}

TEST_CASE("sweep: a value that is none of its option is refused with the place of the sweep") {
    CHECK(refused(adam("learning_rate { sweep 0.1\n -1 }")).starts_with("2 dir/run.info:5: "));
    CHECK(refused(adam("learning_rate {\n sweep 0.1 -1 }"))
              .starts_with("2 dir/run.info:5: contestants.adam.optimizer.learning_rate is '-1'; "
                           "expected a number > 0"));
    CHECK(refused(adam("beta3 { sweep 1 2 }")).find("has no option 'beta3'; did you mean 'beta") !=
          std::string::npos);
}

TEST_CASE("sweep: what is wrong with a member is told of the contestant in the file") {
    const std::string rates = "learning_rate { sweep 0.1 0.2 }";
    CHECK(refused(adam(rates), {"contestants.adam.tune.instances=0"}) ==
          "2 --set: contestants.adam.tune.instances is '0'; expected a whole number in [1, 1e+08]");
    CHECK(refused(adam(rates), {"contestants.adam.tune.instance=1"})
              .starts_with("2 --set: unknown key 'contestants.adam.tune.instance'; did you mean"));
    CHECK(refused(lista("", "layers { sweep 2 3 }", "epochs 0")) ==
          "2 dir/run.info:6: contestants.lista.train.epochs is '0'; expected a whole number in [1, 1e+08]");
    // Which of them it is, is told where that matters.
    const ScratchFolder folder;
    CHECK(refusal([&] {
              (void)run_experiment(
                  read(lista("horizon 2", "layers { sweep 2 3 }") + "evaluate { iterations 3 }\n"),
                  {.root = folder / "runs"});
          }).starts_with("2 contestants.lista (lista.layers=2): "));
}

TEST_CASE("sweep: lists, keys and zips that make no sense are refused at their place") {
    const std::string at = "2 dir/run.info:4: ", rate = "contestants.adam.optimizer.learning_rate";
    CHECK(refused(adam("learning_rate { sweep }")) ==
          at + rate + ".sweep is ''; expected at least one value");
    CHECK(
        refused(adam("learning_rate { sweep log 0 1 5 }")) ==
        at + rate +
            ".sweep is 'log 0 1 5'; expected 'log FROM TO COUNT' with two different numbers > 0 and a whole "
            "one in [2, 256]");
    CHECK(refused(adam("learning_rate { sweep 1 2\n 3 4 }")) ==
          "2 dir/run.info:5: unknown key '" + rate +
              ".3'; expected 'sweep VALUE VALUE ...' in one line, and 'zip NAME' for keys that advance "
              "together");
    CHECK(refused(adam("learning_rate { sweep 1 2 zip \"\" }")) == at + rate + ".zip is ''; expected a name");
    CHECK(
        refused(adam("learning_rate { sweep 1 2 zip z }\n beta1 { sweep 0.1 0.2 0.3 zip z }")) ==
        "2 dir/run.info:5: contestants.adam.optimizer.beta1 has 3 values, and optimizer.learning_rate of the "
        "same zip 'z' has 2 (dir/run.info:4); expected as many");
    CHECK(refused(adam("learning_rate { sweep 1 2 zip z }\n beta1 { sweep 0.1 0.2 zip y }")) ==
          at + rate + ": no other key of the contestant has the zip 'z'; expected one, or no zip");
    CHECK(refused(kProblem + "contestants { a { optimizer { use { sweep adam gradient_descent } } } }\n") ==
          "2 dir/run.info:3: contestants.a.optimizer.use: a sweep of optimizers; expected a contestant for "
          "each of them");
}

TEST_CASE("sweep: members that are the same are refused, however their values are written") {
    CHECK(
        refused(adam("learning_rate { sweep 0.1 1e-1 }")) ==
        "2 dir/run.info:4: contestants.adam: 'adam.learning_rate=0.1' and 'adam.learning_rate=1e-1' are the "
        "same; expected every value once");
    CHECK(refused(adam("learning_rate { sweep 1 1 zip z } beta1 { sweep 0.5 5e-1 zip z }"))
              .ends_with("are the same; expected every value once"));
}

TEST_CASE("sweep: more than 256 contestants are refused, in one sweep or in all of them") {
    const std::string hundred = "{ sweep linear 0.1 0.9 100 }";
    CHECK(refused(adam("learning_rate " + hundred + " beta1 " + hundred)) ==
          "2 dir/run.info:4: contestants.adam: its sweeps make 10000 contestants or more; expected at most "
          "256");
    std::string three = kProblem + "contestants {\n";
    for (const char* name : {"a", "b", "c"})
        three += std::string(name) + " { optimizer { use adam learning_rate " + hundred + " } }\n";
    CHECK(refused(three + "}\n") ==
          "2 dir/run.info:6: with what is swept in 'c' there are 300 contestants or more; expected at most "
          "256");
    CHECK(read(adam("learning_rate { sweep linear 1 256 256 }")).contestants.size() == 256);
}

TEST_CASE("sweep: elsewhere than in contestants and their training a sweep is refused") {
    for (const auto& [text, place] : {std::pair("optimizee.n.sweep=3 4", "optimizee.n"),
                                      std::pair("evaluate.iterations.sweep=3 4", "evaluate.iterations"),
                                      std::pair("seed.sweep=3 4", "seed")}) {
        const auto& which = place;
        CAPTURE(which);
        CHECK(refused(adam("learning_rate 1"), {text}) ==
              std::string("2 --set: ") + place +
                  ": only settings of contestants and of 'train' are swept; expected a value");
    }
}

TEST_CASE("sweep: a name that would be too long for a file is refused") {
    std::string text = "beta1 { sweep 0.00000000000000000001 0.1 }";
    CHECK(names_of(read(adam(text)))[0] == "adam.beta1=0.00000000000000000001");
    text = "beta1 { sweep 0.000000000000000000000001 0.1 }";  // 26 bytes: no part of a name
    CHECK(names_of(read(adam(text))) == Names{"adam.beta1=1", "adam.beta1=2"});
    const std::string name(190, 'a');
    CHECK(refused(kProblem + "contestants { " + name +
                  " { optimizer { use adam learning_rate { sweep 1 2 } } } }\n")
              .find("has more than 200 bytes") != std::string::npos);
}

TEST_CASE("sweep: members are trained and kept one by one, found again, and evaluated as a group") {
    const ScratchFolder folder;
    const std::string small = "train { epochs 2 horizon 2 batch 8 }\nevaluate { instances 4 iterations 2 }\n";
    const auto text = [&](const std::string& layers) {
        return kSparse +
               "contestants { ista { optimizer { use ista } }\n lista { optimizer { use lista layers " +
               layers + " } } }\n" + small;
    };
    const auto run = [&](const std::string& layers) {
        return run_experiment(read(text(layers)), {.root = folder / "runs"});
    };
    const RunResult swept = run("{ sweep 2 3 }");
    REQUIRE(swept.results.curves.size() == 3);
    CHECK(swept.results.curves[0].group.empty());
    CHECK(swept.results.curves[2].contestant == "lista.layers=3");
    CHECK(swept.results.curves[2].group == "lista");
    CHECK(swept.results.curves[2].swept == Swept{{"optimizer.layers", "3"}});
    CHECK(std::filesystem::exists(swept.folder / "checkpoints/lista.layers=3.safetensors"));

    const RunResult alone = run("3");  // its weights are known
    REQUIRE(alone.weights.size() == 1);
    CHECK(alone.weights[0].source == WeightsReport::Source::kFound);
    CHECK(alone.results.curves[1].final_rows == swept.results.curves[2].final_rows);
    CHECK(alone.results.curves[1].group.empty());

    const ResumedRun resumed = resumed_run(catalog(), swept.folder);
    CHECK(names_of(resumed.experiment) == Names{"ista", "lista.layers=2", "lista.layers=3"});
    const RunResult told = run_experiment(resumed.experiment, {.resume = swept.folder});
    CHECK(told.was_finished);
    CHECK(told.results.curves[2].swept == swept.results.curves[2].swept);
}
