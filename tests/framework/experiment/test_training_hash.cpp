#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/plugin/keys.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/experiment/read_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::hash_of;
using l2o::test::lista;
using l2o::test::read_text;
using l2o::test::train_of;

TEST_CASE("experiment: a training of another seed is another one, and seed 0 the one without a seed") {
    const std::string without = hash_of(lista("epochs 100"));
    CHECK(hash_of(lista("epochs 100"), {"train.seed=0"}) == without);
    CHECK(hash_of(lista("epochs 100"), {"train.seed=1"}) != without);
    CHECK(hash_of(lista("epochs 100"), {"train.seed=1"}) != hash_of(lista("epochs 100"), {"train.seed=2"}));
    CHECK(read_text(lista("epochs 100"), {"train.seed=3"}).contestants.at(0).train.value().seed == 3);
}

TEST_CASE("experiment: the hash of a training knows the content of its files") {
    const ScratchFolder folder;
    const auto hash = [&](const std::vector<double>& entries) {
        Tensor a(Dtype::kF64, {1, 2});
        std::copy(entries.begin(), entries.end(), a.values<double>().begin());
        write_safetensors(folder / "a", {{"A", &a}});
        return hash_of(lista("horizon 4\n loss { use mse_to_solution }"),
                       {"optimizee.m=1", "optimizee.n=2", "optimizee.matrix=" + (folder / "a").string()});
    };
    CHECK(hash({1, 2}) == hash({1, 2}));
    CHECK(hash({1, 2}) != hash({1, 3}));
}

TEST_CASE("experiment: the hash of a training knows the content of a folder of files") {
    const ScratchFolder folder;
    std::filesystem::create_directory(folder / "data");
    const auto hash = [&](const char* file, const std::string& rows) {
        std::ofstream(folder / file) << rows;
        return hash_of(lista("horizon 4\n loss { use mse_to_solution }"),
                       {"optimizee.m=1", "optimizee.n=2", "optimizee.data=" + (folder / "data").string()});
    };
    const std::string first = hash("data/train.csv", "1,2\n");
    CHECK(first == hash("data/train.csv", "1,2\n"));
    CHECK(first == hash("elsewhere.csv", "1,2\n"));
    CHECK(first != hash("data/train.csv", "1,3\n"));
    CHECK(first == hash("data/train.csv", "1,2\n"));
    CHECK(first != hash("data/test.csv", ""));
}

TEST_CASE("experiment: the hash changes with what training depends on, and with nothing else") {
    const std::string text = lista("horizon 4 epochs 5");
    const std::string hash = hash_of(text);
    CHECK(hash == hash_of(lista("epochs 5", "horizon 4")));
    CHECK(hash == hash_of(text + "; a comment\nname other evaluate { iterations 3 }\n"));
    CHECK(hash == hash_of(text, {"train.memory=1MiB", "train.checkpoint_every_s=1"}));
    CHECK(hash == hash_of(text, {"train.meta_optimizer.learning_rate=0.001", "train.unroll=4"}));
    CHECK(hash == hash_of(text, {"train.self_paced.share=1", "train.self_paced.epochs=3"}));
    CHECK(hash != hash_of(text, {"train.self_paced.share=0.5", "train.self_paced.epochs=3"}));
    for (const char* change : {"seed=1",
                               "dtype=float64",
                               "optimizee.m=9",
                               "contestants.lista.optimizer.layers=3",
                               "train.epochs=6",
                               "train.loss.use=mse_to_solution",
                               "train.meta_optimizer.beta1=0.8",
                               "train.shard_rows=16",
                               "train.decay=cosine",
                               "train.average=0.9",
                               "train.layerwise.layer_decay_of=gradient",
                               "train.validate.restore=false",
                               "train.estimator=es",
                               "train.update_probability.last=0.5",
                               "train.stages.one.epochs=3",
                               "train.multipliers.shared.B=0.5"}) {
        CAPTURE(change);
        CHECK(hash != hash_of(text, {change}));
    }
}

TEST_CASE("experiment: how values alone are perturbed counts in the hash where it is done") {
    const std::string bptt = lista("horizon 4"), pes = lista("horizon 4 estimator pes");
    CHECK(hash_of(bptt) == hash_of(bptt, {"train.evolution.sigma=0.1"}));
    CHECK(hash_of(pes) != hash_of(pes, {"train.evolution.sigma=0.1"}));
    CHECK(hash_of(pes) != hash_of(pes, {"train.evolution.pairs=8"}));
    const std::string search = lista("estimator cma_es horizon 40");
    CHECK(train_of(read_text(search)).unroll == 40);
    CHECK(train_of(read_text(search)).sigma == 0.3);
    CHECK(hash_of(search) != hash_of(search, {"train.evolution.population=8"}));
    CHECK(hash_of(search) == hash_of(search, {"train.evolution.pairs=8"}));
    CHECK(hash_of(pes) != hash_of(pes, {"train.estimator=es"}));
}

TEST_CASE("experiment: training and test data share one key, all other keys differ") {
    const Keys keys = keys_of(7);
    CHECK(keys.train_data == keys.test_data);
    const std::vector<Key> different{keys.train_data,
                                     keys.train_start,
                                     keys.train_steps,
                                     keys.test_start,
                                     keys.test_steps,
                                     keys.init_params,
                                     keys_of(8).train_data};
    for (std::size_t i = 0; i < different.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK(different[i] != different[j]);
    }
}
