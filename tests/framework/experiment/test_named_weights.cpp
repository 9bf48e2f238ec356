#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/experiment/read_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::hash_of;
using l2o::test::kProblem;
using l2o::test::lista;
using l2o::test::read_text;
using l2o::test::refused;

TEST_CASE(
    "experiment: options that are set, in the file or on the command line, count more than a weight file's") {
    const ScratchFolder folder;
    const std::filesystem::path file = folder / "w.safetensors";
    write_safetensors(
        file,
        {},
        {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}, {"l2o.options", R"({"layers": 5, "ridge": 0.5})"}});
    const std::string text = kProblem + "contestants { a { optimizer { use lista\n layers 4 }\n weights " +
                             file.string() + " } }\n";
    const auto options = [&](const std::vector<std::string>& overrides) {
        const Contestant contestant = read_text(text, overrides).contestants[0];
        CHECK(contestant.weights == file);
        return contestant.optimizer.resolve(weight_options(contestant.weights, "lista")).canonical();
    };
    CHECK(options({}).at("layers") == "4");
    CHECK(options({}).at("ridge") == "0.5");
    CHECK(options({"contestants.a.optimizer.layers=6"}).at("layers") == "6");
}

TEST_CASE("experiment: weights are relative to the file that names them, and absolute in the written one") {
    const ScratchFolder folder;
    const std::string name = (folder / "w.safetensors").string();
    write_safetensors(name, {}, {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}});
    const Config config =
        Config::parse(kProblem + "contestants { a { optimizer { use lista }\n weights w.safetensors } }\n",
                      folder / "run.info");
    const Experiment experiment = read_experiment(catalog(), config);
    CHECK(experiment.contestants[0].weights == name);
    CHECK(experiment.info.find("weights " + name + "\n") != std::string::npos);
}

TEST_CASE("experiment: missing weights are reported before anything else happens") {
    CHECK(refused(kProblem + "contestants { a { optimizer { use lista }\n weights none.safetensors } }\n")
              .find("dir/none.safetensors") != std::string::npos);
}

TEST_CASE("experiment: a warm start is relative to the file that names it, and part of the hash") {
    const ScratchFolder folder;
    std::ofstream(folder / "w.safetensors") << "one";
    const auto hash = [&] {
        return hash_of(lista("horizon 4 warm_start " + (folder / "w.safetensors").string()));
    };
    const std::string before = hash();
    CHECK(before == hash());
    std::ofstream(folder / "w.safetensors") << "two";
    CHECK(before != hash());
    CHECK(refused(lista("horizon 4 warm_start none.safetensors")).find("dir/none.safetensors") !=
          std::string::npos);
}
