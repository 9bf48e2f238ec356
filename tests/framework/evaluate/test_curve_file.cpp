#include <doctest/doctest.h>

#include <functional>

#include "framework/evaluate/curve_file.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace {

using namespace l2o::framework;

Curve two_points_of_three_rows() {
    return {.contestant = "a",
            .iteration = {0, 1},
            .evaluations = {0, 2},
            .values = {0, 1},
            .gradients = {0, 1},
            .seconds = {0, 0.5},
            .metrics = {"objective"},
            .distributions = {{{.mean = 2, .finite = 3, .rows = 3}, {.mean = 1, .finite = 3, .rows = 3}}},
            .final_rows = {{1, 1, 1}},
            .best = {NAN, 0.5},
            .final_best = {0.5, NAN, 1},
            .staircases = {{{2, {0, 1, 0.25}}, {0.5, {1, 2, 0.5}}}, {}, {{1, {1, 2, 0.5}}}},
            .history = {.shard_rows = 2,
                        .values = {{2, 2, 2}, {1, 1, 1}},
                        .evaluations = {{0, 0, 0}, {1, 1, 2}},
                        .seconds = {{0, 0}, {0.25, 0.25}}}};
}

/// The file with other tensors, or fewer, under a seal of its own.
void change(const std::filesystem::path& path,
            const std::function<void(std::map<std::string, Tensor>&)>& edit) {
    TensorFile file = read_safetensors(path);
    std::map<std::string, Tensor> tensors;
    for (auto& [name, tensor] : file.tensors) tensors.emplace(name, tensor.clone());
    edit(tensors);
    TensorRefs refs;
    for (const auto& [name, tensor] : tensors) refs[name] = &tensor;
    write_safetensors(path, refs, sealed(refs, file.metadata));
}

}  // namespace

TEST_CASE("curve file: a curve is read back as it was written, and under its own hash alone") {
    const ScratchFolder folder;
    write_curve(folder / "c", two_points_of_three_rows(), "h");
    const std::optional<Curve> read = read_curve(folder / "c", "h");
    REQUIRE(read);
    CHECK(read->history.evaluations == two_points_of_three_rows().history.evaluations);
    CHECK(read->distributions[0][1].mean == 1);
    CHECK(read->history.shard_rows == 2);
    REQUIRE(read->staircases.size() == 3);
    CHECK(read->staircases[1].empty());
    REQUIRE(read->staircases[0].size() == 2);
    CHECK(read->staircases[0][1].f == 0.5);
    CHECK(read->staircases[0][1].reached.iteration == 1);
    CHECK(read->staircases[0][1].reached.evaluations == 2);
    CHECK(read->staircases[0][1].reached.seconds == 0.5);
    CHECK_FALSE(read_curve(folder / "c", "g"));
    CHECK(read_curve(folder / "c").history.values == read->history.values);
}

TEST_CASE("curve file: one that was changed is refused where its hash does not matter") {
    const ScratchFolder folder;
    write_curve(folder / "c", two_points_of_three_rows(), "h");
    std::string bytes = read_file(folder / "c");
    bytes.back() ^= 1;
    write_file_atomically(folder / "c", bytes);
    try {
        (void)read_curve(folder / "c");
        FAIL("it is read");
    } catch (const Error& error) {
        CHECK(std::string(error.what())
                  .ends_with("/c: not what an evaluation keeps (its checksum is wrong); evaluate again"));
    }
}

TEST_CASE("curve file: parts of a wrong type or size are no curve, sealed or not") {
    const ScratchFolder folder;
    const auto int64 = [](std::initializer_list<std::int64_t> values) {
        Tensor tensor(Dtype::kI64, {static_cast<std::int64_t>(values.size())});
        std::ranges::copy(values, tensor.values<std::int64_t>().begin());
        return tensor;
    };
    const auto is_read_with = [&](const std::string& name, Tensor tensor) {
        write_curve(folder / "c", two_points_of_three_rows(), "h");
        change(folder / "c", [&](auto& tensors) { tensors.insert_or_assign(name, std::move(tensor)); });
        return read_curve(folder / "c", "h").has_value();
    };
    CHECK(is_read_with("iteration", int64({0, 7})));
    write_curve(folder / "c", two_points_of_three_rows(), "h");
    change(folder / "c", [](auto& tensors) { tensors.erase("staircases.sizes"); });
    CHECK_FALSE(read_curve(folder / "c", "h"));
    CHECK_FALSE(is_read_with("iteration", int64({0, 1, 2})));
    CHECK_FALSE(is_read_with("iteration", Tensor(Dtype::kF64, {2})));
    CHECK_FALSE(is_read_with("single", Tensor(Dtype::kF64, {4})));
    CHECK_FALSE(is_read_with("single", Tensor(Dtype::kF64, {2})));  // shards of no rows
    CHECK_FALSE(is_read_with("final_rows.sizes", int64({1'000'000})));
    CHECK_FALSE(is_read_with("final_rows.sizes", int64({-1})));
    CHECK_FALSE(is_read_with("final_rows.sizes", int64({1, 2})));
    CHECK_FALSE(is_read_with("history.values.sizes", int64({6})));
    CHECK_FALSE(is_read_with("history.seconds.sizes", int64({1, 3})));
    CHECK_FALSE(is_read_with("history.evaluations.sizes", int64({2, 4})));  // of shards, once
    CHECK_FALSE(is_read_with("distributions/0.sizes", int64({14})));
    CHECK_FALSE(is_read_with("staircases.sizes", int64({6, 3})));             // of two rows
    CHECK_FALSE(is_read_with("staircases.sizes", int64({5, 1, 3})));          // a stair is three numbers
    CHECK_FALSE(is_read_with("staircases.seconds.sizes", int64({1, 2, 0})));  // and a time
    CHECK_FALSE(is_read_with("staircases", Tensor(Dtype::kF64, {9})));        // f does not fall
}
