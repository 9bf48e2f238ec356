#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::framework::read_safetensors;
using l2o::test::contains, l2o::test::Outcome, l2o::test::run_l2o;
using nlohmann::json;

namespace {

ScratchFolder& with_experiment(ScratchFolder& folder) {
    std::ofstream(folder / "swept.info") << R"(
seed 1
optimizee { use quadratic
            n 3 }
train { epochs 2
        horizon 4
        batch 4 }
contestants {
    adam { optimizer { use adam
                       learning_rate { sweep 0.01 0.1 } } }
    dm { optimizer { use l2o_dm
                     hidden { sweep 2 3 } } }
}
evaluate { instances 4
           iterations 5 }
)";
    return folder;
}

json trained(const ScratchFolder& folder, const std::string& arguments) {
    const Outcome outcome = run_l2o(folder, "train swept.info --json --quiet " + arguments);
    REQUIRE(outcome.code == 0);
    json names = json::array();
    const json told = json::parse(outcome.out);
    for (const json& weights : told.at("weights")) names.push_back(weights.at("contestant"));
    return names;
}

/// The values of a file's tensors, without what is told beside them.
std::string bytes_of(const std::filesystem::path& file) {
    std::string bytes;
    for (const auto& [name, tensor] : read_safetensors(file).tensors)
        bytes.append(static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes()));
    return bytes;
}

}  // namespace

TEST_CASE("l2o run shows the members of a sweep below its name, and --json has what is swept") {
    ScratchFolder folder;
    const Outcome text = run_l2o(with_experiment(folder), "run swept.info --no-report");
    CHECK(text.code == 0);
    CHECK(contains(text.out, "\nadam by learning_rate\n  0.01 "));
    CHECK(contains(text.out, "\ndm by hidden\n  2 "));
    CHECK(contains(text.out, "\nagainst adam.learning_rate=0.01\ncontestant "));
    const Outcome outcome = run_l2o(folder, "run swept.info --no-report --json");
    const json contestants = json::parse(outcome.out).at("contestants");
    REQUIRE(contestants.size() == 4);
    CHECK(contestants[3].at("name") == "dm.hidden=3");
    CHECK(contestants[3].at("group") == "dm");
    CHECK(contestants[3].at("swept") == json::parse(R"([["optimizer.hidden", "3"]])"));
    const json alone = json::parse(
        run_l2o(folder, "run swept.info --no-report --json contestants.adam.optimizer.learning_rate=1").out);
    CHECK(alone.at("contestants")[0].at("name") == "adam");
    CHECK_FALSE(alone.at("contestants")[0].contains("group"));
}

TEST_CASE("l2o train takes the name of a member, or that of its group for all of them") {
    ScratchFolder folder;
    with_experiment(folder);
    CHECK(trained(folder, "dm.hidden=3") == json::array({"dm.hidden=3"}));
    CHECK(trained(folder, "dm") == json::array({"dm.hidden=2", "dm.hidden=3"}));
    CHECK(trained(folder, "dm train.epochs=1") == json::array({"dm.hidden=2", "dm.hidden=3"}));
    CHECK(trained(folder, "") == json::array({"dm.hidden=2", "dm.hidden=3"}));
    CHECK(run_l2o(folder, "train swept.info dm.hidden=2 --output w").code == 0);
    CHECK(contains(run_l2o(folder, "train swept.info dm --output w").refusal(),
                   "2 l2o: error: --output takes the weights of one contestant; name one of them"));
    CHECK(contains(run_l2o(folder, "train swept.info dm.hidden=4").refusal(),
                   "2 l2o: error: unknown contestant 'dm.hidden=4'; did you mean 'dm.hidden=2'?"));
    CHECK(contains(run_l2o(folder, "train swept.info adam.learning_rate=0.1").refusal(),
                   "2 l2o: error: 'adam.learning_rate=0.1' is neither a setting nor a contestant"));
    CHECK(contains(run_l2o(folder, "train swept.info optimisee.n=4").refusal(),
                   "2 l2o: error: 'optimisee.n=4' is neither a setting nor a contestant; did you mean "
                   "'optimizee'?"));
    CHECK(contains(run_l2o(folder, "train swept.info --set optimisee.n=4").refusal(),
                   "unknown key 'optimisee'; did you mean 'optimizee'?"));
}

TEST_CASE("l2o evaluate --untrained: what only the seed of a training tells apart takes part once") {
    ScratchFolder folder;
    const Outcome outcome =
        run_l2o(with_experiment(folder), "evaluate swept.info --untrained --json train.seeds=3 --no-report");
    REQUIRE(outcome.code == 0);
    const json told = json::parse(outcome.out);
    REQUIRE(told.at("entries").size() == 4);
    CHECK(told.at("contestants").size() == 4);
    CHECK(told.at("entries")[2].at("name") == "dm.hidden=2");
    CHECK(told.at("entries")[2].at("comparison").at("trainings") == 1);
    CHECK(told.at("entries")[2].at("distribution").at("rows") == 4);
    const std::string run = told.at("folder");
    CHECK(json::parse(run_l2o(folder, "report --json " + run).out).at("entries") == told.at("entries"));
    CHECK(json::parse(run_l2o(folder, "run --json --no-report --resume " + run).out).at("entries") ==
          told.at("entries"));
}

TEST_CASE("l2o train --resume goes on with a member that is named") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome outcome = run_l2o(folder, "train swept.info --json");
    REQUIRE(outcome.code == 0);
    const std::string run = json::parse(outcome.out).at("folder");
    std::filesystem::remove(std::filesystem::path(run) / "checkpoints/dm.hidden=3.safetensors");
    for (const char* name : {"dm", "dm.hidden=3"}) {
        CAPTURE(name);
        CHECK(run_l2o(folder, "train --resume " + run + " " + name).code == 0);
    }
    CHECK(contains(run_l2o(folder, "train --resume " + run + " train.epochs=3").refusal(),
                   "--resume goes on with the experiment of its run folder"));
}

TEST_CASE(
    "l2o evaluate takes weights of a member and finds those of others, and refuses those of another value") {
    ScratchFolder folder;
    with_experiment(folder);
    CHECK(run_l2o(folder, "train swept.info dm.hidden=2 --output w2 --out one").code == 0);
    CHECK(run_l2o(folder, "train swept.info dm.hidden=3 --output w3 --out two").code == 0);
    CHECK(bytes_of((folder / "w2").c_str()) != bytes_of((folder / "w3").c_str()));
    const auto evaluated = [&](const std::string& arguments) {
        const Outcome outcome = run_l2o(folder, "evaluate swept.info --no-report --json " + arguments);
        REQUIRE(outcome.code == 0);
        json files = json::object();
        const json told = json::parse(outcome.out);
        for (const json& weights : told.at("weights")) {
            const std::string file = weights.at("file");
            files[weights.at("contestant").get<std::string>()] = std::filesystem::path(file).filename();
        }
        return files;
    };
    CHECK(evaluated("--weights dm.hidden=2=w2 --weights dm.hidden=3=w3") ==
          json{{"dm.hidden=2", "w2"}, {"dm.hidden=3", "w3"}});
    const json mixed = evaluated("--weights dm.hidden=3=w3 --out one");
    CHECK(mixed.at("dm.hidden=3") == "w3");
    CHECK(mixed.at("dm.hidden=2").get<std::string>().starts_with("l2o_dm-"));
    CHECK(contains(run_l2o(folder, "evaluate swept.info --weights dm.hidden=4=w2").refusal(),
                   "2 l2o: error: unknown contestant 'dm.hidden'"));
    CHECK(contains(run_l2o(folder, "evaluate swept.info --weights adam.learning_rate=0.1=w2").refusal(),
                   "'adam' has nothing to learn; remove 'weights'"));
    CHECK(contains(run_l2o(folder, "evaluate swept.info --weights dm=w2").refusal(),
                   "2 l2o: error: --weights: 'dm' stands for 2 contestants; expected weights of one of "
                   "them: dm.hidden=2, dm.hidden=3; see"));
    for (const char* train : {"train.seeds=2", "contestants.dm.train.seeds=2"}) {
        const std::string seeds = std::string(train) + " contestants.dm.optimizer.hidden=2 ";
        CHECK(contains(run_l2o(folder, "evaluate swept.info " + seeds + "--weights dm=w2").refusal(),
                       "expected weights of one of them: dm.seed=0, dm.seed=1; see"));
        CHECK(evaluated(seeds + "--weights dm.seed=0=w2 --weights dm.seed=1=w2") ==
              json{{"dm.seed=0", "w2"}, {"dm.seed=1", "w2"}});
    }
    // A member of a sweep with several trainings.
    CHECK(contains(run_l2o(folder, "evaluate swept.info train.seeds=2 --weights dm.hidden=2=w2").refusal(),
                   "2 l2o: error: --weights: 'dm.hidden=2' stands for 2 contestants; expected weights of one "
                   "of them: dm.hidden=2,seed=0, dm.hidden=2,seed=1; see"));
    // What is swept acts beside the weights: they are everybody's.
    const std::string guarded =
        " contestants.dm.optimizer.hidden=2 contestants.dm.safeguard.use=gradient_descent "
        "contestants.dm.safeguard.learning_rate.sweep=\"0.01 0.02\" ";
    CHECK(evaluated(guarded + "--weights dm=w2").size() == 2);
}
