#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;
using l2o::test::values;

namespace {

const Key kInit{1, 2};

/// An optimizer on a small sparse recovery problem.
struct Bench {
    explicit Bench(const std::string& id,
                   const std::vector<SettingText>& options = {},
                   Dtype dtype = Dtype::kF64,
                   std::uint64_t seed = 3)
        : optimizee(catalog().find(Kind::kOptimizee, "sparse_recovery"),
                    resolved(Kind::kOptimizee, "sparse_recovery", {text("m", "4"), text("n", "6")}),
                    dtype),
          data(optimizee.sample({seed, 0}, Split::kTrain, 0, 2, false)),
          optimizer(catalog().find(Kind::kOptimizer, id),
                    resolved(Kind::kOptimizer, id, options),
                    task_of(optimizee, 3)) {}

    static SettingText text(const std::string& key, const std::string& value) {
        return {.key = key, .text = value, .origin = {.file = "test"}};
    }
    static ResolvedOptions resolved(Kind kind,
                                    const std::string& id,
                                    const std::vector<SettingText>& options) {
        return resolve_options(catalog().find(kind, id).component.options, options, {});
    }

    TensorSet start() const { return TensorSet(optimizer.init_params(kInit, data)); }
    TensorSet read(const std::filesystem::path& path) const {
        return read_weights(read_safetensors(path), optimizer, kInit, data, &optimizee);
    }

    Optimizee optimizee;
    ProblemData data;
    Optimizer optimizer;
};

const std::vector<SettingText> kTwoLayers{Bench::text("layers", "2")};

/// The file of a LISTA of two layers, with changes.
template <class Change>
std::filesystem::path changed_file(const ScratchFolder& folder, Change change) {
    const Bench bench("lista", kTwoLayers);
    write_weights(folder / "whole.safetensors", bench.optimizer, bench.start());
    TensorFile file = read_safetensors(folder / "whole.safetensors");
    change(file);
    TensorRefs refs;
    for (const auto& [name, tensor] : file.tensors) refs[name] = &tensor;
    write_safetensors(folder / "changed.safetensors", refs, file.metadata);
    return folder / "changed.safetensors";
}

std::string refusal_of(const ScratchFolder& folder, const std::filesystem::path& path) {
    static_cast<void>(folder);
    return refusal([&] { (void)Bench("lista", kTwoLayers).read(path); });
}

}  // namespace

TEST_CASE("weights: what is written is read back, with the options") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers);
    const TensorSet params = bench.start();
    const std::filesystem::path path = folder / "w.safetensors";
    write_weights(path, bench.optimizer, params, {{"note", "mine"}});

    const TensorSet again = bench.read(path);
    REQUIRE(again.size() == params.size());
    for (std::size_t i = 0; i < params.size(); ++i) CHECK(values(again[i]) == values(params[i]));
    const TensorFile file = read_safetensors(path);
    CHECK(file.metadata.at("l2o.format") == "1");
    CHECK(file.metadata.at("l2o.optimizer") == "lista");
    CHECK(file.metadata.at("l2o.plugin_version") == "1.0.0");
    CHECK(file.metadata.at("note") == "mine");

    std::map<std::string, std::string> options;
    for (const SettingText& setting : weight_options(path, "lista")) options[setting.key] = setting.text;
    CHECK(options == bench.optimizer.options().canonical());
}

TEST_CASE("weights: float32 weights serve a float64 optimizer, and the other way round") {
    const ScratchFolder folder;
    const Bench narrow("lista", kTwoLayers, Dtype::kF32), wide("lista", kTwoLayers, Dtype::kF64);
    write_weights(folder / "w32.safetensors", narrow.optimizer, narrow.start());
    const TensorSet widened = wide.read(folder / "w32.safetensors");
    const TensorSet start = narrow.start();
    for (std::size_t i = 0; i < start.size(); ++i) {
        CHECK(widened[i].dtype() == Dtype::kF64);
        CHECK(values(widened[i]) == values(start[i]));
    }
    write_weights(folder / "w64.safetensors", wide.optimizer, widened);
    const TensorSet narrowed = narrow.read(folder / "w64.safetensors");
    for (std::size_t i = 0; i < start.size(); ++i) CHECK(values(narrowed[i]) == values(start[i]));
}

TEST_CASE("weights: values that are not finite, or not in the precision they are for, are refused") {
    const ScratchFolder folder;
    for (const double value : {std::nan(""), 1e300}) {
        const std::filesystem::path path = changed_file(folder, [value](TensorFile& file) {
            file.tensors.at("layer.01.theta") = file.tensors.at("layer.01.theta").clone();
            file.tensors.at("layer.01.theta").values<double>()[0] = value;
        });
        CHECK(refusal([&] { (void)Bench("lista", kTwoLayers, Dtype::kF32).read(path); }) ==
              "2 " + path.string() +
                  ": tensor 'layer.01.theta' has a value that is not finite in float32; expected numbers: "
                  "what diverged in training is of no use, train again ('--retrain')");
        const std::string wide = refusal_of(folder, path);
        CHECK((wide == "no error") == (value == 1e300));
    }
}

TEST_CASE("weights: a constant that the file lacks is derived again") {
    const ScratchFolder folder;
    const Bench bench("ista");
    const std::filesystem::path path = folder / "w.safetensors";
    write_safetensors(path, {}, {{"l2o.format", "1"}, {"l2o.optimizer", "ista"}});
    REQUIRE(std::string(bench.optimizer.params().at(0)->name) == "const.L");
    CHECK(values(bench.read(path)[0]) == values(bench.start()[0]));
}

TEST_CASE("weights: constants are not written") {
    const ScratchFolder folder;
    const Bench bench("alista", kTwoLayers);
    write_weights(folder / "w.safetensors", bench.optimizer, bench.start());
    const TensorFile file = read_safetensors(folder / "w.safetensors");
    std::vector<std::string> names;
    for (const auto& [name, tensor] : file.tensors) names.push_back(name);
    CHECK(names ==
          std::vector<std::string>{"layer.00.gamma", "layer.00.theta", "layer.01.gamma", "layer.01.theta"});
    const TensorSet start = bench.start(), again = bench.read(folder / "w.safetensors");
    for (std::size_t i = 0; i < start.size(); ++i) CHECK(values(again[i]) == values(start[i]));
}

TEST_CASE("weights: a constant is taken from the file for the same problem, derived again for another one") {
    const ScratchFolder folder;
    const Bench bench("ista"), other("ista", {}, Dtype::kF64, 4);
    TensorSet params = bench.start();
    params[0].values<double>()[0] *= 2;  // tells a constant that was read from one that was derived
    const std::filesystem::path path = folder / "w.safetensors";
    std::map<std::string, std::string> metadata =
        problem_metadata(bench.optimizer, bench.optimizee, bench.data);
    metadata.insert({{"l2o.format", "1"}, {"l2o.optimizer", "ista"}});
    write_safetensors(path, {{"const.L", &params[0]}, {"const.unit", &params[1]}}, metadata);
    CHECK(values(bench.read(path)[0]) == values(params[0]));
    CHECK(values(other.read(path)[0]) == values(other.start()[0]));
    CHECK(values(other.start()[0]) != values(bench.start()[0]));

    metadata.erase("l2o.problem");  // nothing is known of the problem
    write_safetensors(path, {{"const.L", &params[0]}, {"const.unit", &params[1]}}, metadata);
    CHECK(values(other.read(path)[0]) == values(params[0]));
}

TEST_CASE("weights: constants that are not complete must agree with those that are derived") {
    const ScratchFolder folder;
    const Bench bench("alista", kTwoLayers);
    const TensorSet start = bench.start();
    REQUIRE(std::string(bench.optimizer.params()[0]->name) == "const.W");
    write_weights(folder / "learned.safetensors", bench.optimizer, start);
    const TensorFile learned = read_safetensors(folder / "learned.safetensors");
    const auto file_with = [&](const Tensor& w) {
        TensorRefs refs{{"const.W", &w}};
        for (const auto& [name, tensor] : learned.tensors) refs[name] = &tensor;
        write_safetensors(folder / "w.safetensors", refs, learned.metadata);
        return folder / "w.safetensors";
    };
    const TensorSet again = bench.read(file_with(start[0].to(Dtype::kF32)));  // as an older l2o wrote it
    for (std::size_t i = 0; i < start.size(); ++i) CHECK(values(again[i]) == values(start[i]));

    Tensor other = start[0].clone();
    other.values<double>()[3] += 0.1;
    const std::filesystem::path path = file_with(other);
    CHECK(refusal([&] { (void)bench.read(path); }) ==
          "2 " + path.string() +
              ": tensor 'const.W' is not what 'alista' derives from this problem, and 'const.d', derived "
              "together with it, is not in the file; give all tensors that are derived, or none");
}

TEST_CASE("weights: a missing tensor is named, with one that may be meant") {
    const ScratchFolder folder;
    const auto path = changed_file(folder, [](TensorFile& file) { file.tensors.erase("layer.01.theta"); });
    const std::string text = refusal_of(folder, path);
    CHECK(text.starts_with("2 " + path.string() +
                           ": tensor 'layer.01.theta' [] is missing; did you mean "
                           "'layer.00.theta'?"));
}

TEST_CASE("weights: a tensor too many is named, with one that may be meant") {
    const ScratchFolder folder;
    const auto path = changed_file(
        folder, [](TensorFile& file) { file.tensors.emplace("layer.2.theta", Tensor(Dtype::kF64, {})); });
    const std::string text = refusal_of(folder, path);
    CHECK(text.starts_with("2 " + path.string() +
                           ": unknown tensor 'layer.2.theta'; 'lista' with these options "
                           "has no such parameter; did you mean 'layer.00.theta'?"));
}

TEST_CASE("weights: a tensor of another shape or type is named") {
    const ScratchFolder folder;
    const auto misshapen = changed_file(folder, [](TensorFile& file) {
        file.tensors.insert_or_assign("shared.B", Tensor(Dtype::kF64, {4, 6}));
    });
    CHECK(refusal_of(folder, misshapen) ==
          "2 " + misshapen.string() + ": tensor 'shared.B' has shape [4, 6]; expected [6, 4]");
    const auto whole_numbers = changed_file(folder, [](TensorFile& file) {
        file.tensors.insert_or_assign("shared.B", Tensor(Dtype::kI32, {6, 4}));
    });
    CHECK(refusal_of(folder, whole_numbers) ==
          "2 " + whole_numbers.string() + ": tensor 'shared.B' is int32; expected float32 or float64");
}

TEST_CASE("weights: a file of another optimizer, or of none, is refused") {
    const ScratchFolder folder;
    const auto other =
        changed_file(folder, [](TensorFile& file) { file.metadata["l2o.optimizer"] = "alista"; });
    CHECK(refusal_of(folder, other) ==
          "2 " + other.string() + ": metadata l2o.optimizer is 'alista'; expected weights of 'lista'");
    const auto future = changed_file(folder, [](TensorFile& file) { file.metadata["l2o.format"] = "2"; });
    CHECK(refusal([&] { (void)weight_options(future, "lista"); }) ==
          "2 " + future.string() + ": metadata l2o.format is '2'; expected '1', a weight file");
    const auto none = changed_file(folder, [](TensorFile& file) { file.metadata.clear(); });
    CHECK(refusal([&] { (void)weight_options(none, "lista"); }) ==
          "2 " + none.string() + ": metadata l2o.format is missing; expected '1', a weight file");
    const auto broken = changed_file(folder, [](TensorFile& file) { file.metadata["l2o.options"] = "{"; });
    CHECK(
        refusal([&] { (void)weight_options(broken, "lista"); }) ==
        "2 " + broken.string() +
            ": metadata l2o.options is '{', which is not valid JSON ([json.exception.parse_error.101] parse "
            "error "
            "at line 1, column 2: syntax error while parsing object key - unexpected end of input; expected "
            "string literal)");
}

TEST_CASE("weights: a file that was found is what its training left, or says what is wrong with it") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers);
    const std::filesystem::path path = folder / "w.safetensors", changed = folder / "changed.safetensors";
    write_weights(path, bench.optimizer, bench.start(), training_metadata("1234", 1.5, {}));
    const auto fault_of = [&](const std::filesystem::path& file, const std::string& hash) {
        return found_weights(file, hash, bench.optimizer).fault;
    };
    CHECK(fault_of(path, "1234").empty());
    CHECK(fault_of(path, "5678") ==
          path.string() +
              ": belongs to another training (its configuration, plugin version or seed differs): "
              "metadata l2o.training_hash is '1234'; expected '5678'");
    CHECK(fault_of(folder / "nothing", "1234").starts_with((folder / "nothing").string()));

    const std::string bytes = read_file(path);
    const std::string damaged = changed.string() + ": has been changed or damaged since it was written";
    // Every byte of the numbers, and some of the header.
    const std::size_t header =
        8 + static_cast<unsigned char>(bytes[0]) + 256 * static_cast<unsigned char>(bytes[1]);
    for (std::size_t at = header; at < bytes.size(); at += 7) {
        std::string other = bytes;
        other[at] = static_cast<char>(other[at] ^ 1);
        write_file_atomically(changed, other);
        CHECK(fault_of(changed, "1234").starts_with(damaged));
    }
    for (std::size_t at = 0; at < header; at += 3) {
        std::string other = bytes;
        other[at] = static_cast<char>(other[at] ^ 1);
        write_file_atomically(changed, other);
        CAPTURE(at);
        CHECK_FALSE(fault_of(changed, "1234").empty());
    }
    write_file_atomically(changed, bytes.substr(0, bytes.size() - 1));
    CHECK_FALSE(fault_of(changed, "1234").empty());

    // Edited by somebody who keeps the metadata; and a file from before there was a checksum.
    const std::filesystem::path edited = changed_file(folder, [](TensorFile& file) {
        Tensor& theta = file.tensors.at("layer.00.theta");
        theta = theta.clone();
        theta.values<double>()[0] += 1;
    });
    CHECK(origin_notes(read_safetensors(edited), {}) ==
          std::vector<std::string>{edited.string() +
                                   ": has been changed or damaged since it was written: its "
                                   "checksum is another one"});
    const std::filesystem::path old = changed_file(folder, [](TensorFile& file) {
        file.metadata.erase("l2o.checksum");
        file.metadata.erase("l2o.version");
    });
    CHECK(origin_notes(read_safetensors(old), {}).empty());
}

TEST_CASE("weights: a file without what its training left beside them was not found, whatever its name") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers);
    const std::filesystem::path path = folder / "w.safetensors";
    const TensorSet start = bench.start();
    /// Written anew by somebody, with a checksum if it is `sealed_again`.
    const auto fault_of = [&](bool sealed_again, const auto& change) {
        write_weights(path, bench.optimizer, start, training_metadata("1234", 1.5, {}));
        TensorFile file = read_safetensors(path);
        file.metadata.erase(kSealKey);
        change(file);
        TensorRefs refs;
        for (const auto& [name, tensor] : file.tensors) refs[name] = &tensor;
        write_safetensors(path, refs, sealed_again ? sealed(refs, file.metadata) : file.metadata);
        const std::string fault = found_weights(path, "1234", bench.optimizer).fault;
        return fault.starts_with(path.string() + ": ") ? fault.substr(path.string().size() + 2) : fault;
    };
    CHECK(fault_of(true, [](TensorFile&) {}).empty());
    CHECK(fault_of(false, [](TensorFile& file) { file.metadata.erase("l2o.version"); }) ==
          "metadata l2o.checksum is missing; expected what 'l2o train' writes there");
    CHECK(fault_of(false, [](TensorFile&) {}).starts_with("has been changed or damaged since"));
    CHECK(fault_of(true, [](TensorFile& file) { file.metadata.erase("l2o.training_hash"); }) ==
          "belongs to another training (its configuration, plugin version or seed differs): metadata "
          "l2o.training_hash is missing; expected '1234'");
    CHECK(fault_of(true, [](TensorFile& file) {
              file.metadata["l2o.options"] = "{\"layers\": 3}";
          }).starts_with("metadata l2o.options is '{\"layers\": 3}'; expected '{"));
    CHECK(fault_of(true, [](TensorFile& file) { file.metadata["l2o.optimizer"] = "alista"; }) ==
          "metadata l2o.optimizer is 'alista'; expected weights of 'lista'");
    CHECK(fault_of(true, [](TensorFile& file) {
              file.tensors.insert_or_assign("shared.B", Tensor(Dtype::kF64, {4, 6}));
          }) == "tensor 'shared.B' has shape [4, 6]; expected [6, 4]");
    CHECK(fault_of(true, [](TensorFile& file) {
              file.tensors.erase("layer.01.theta");
          }).starts_with("tensor 'layer.01.theta' [] is missing"));
    CHECK(fault_of(true, [](TensorFile& file) {
              file.tensors.emplace("mine", Tensor(Dtype::kF64, {}));
          }).starts_with("unknown tensor 'mine'"));
    for (const char* text : {"{", "{\"skipped\": 1}", "[[[]]]"})
        CHECK(fault_of(true, [text](TensorFile& file) { file.metadata["l2o.training"] = text; }) ==
              std::string("metadata l2o.training is '") + text + "'; expected what 'l2o train' writes there");
}

TEST_CASE("weights: what there is to remark on their training is told to whoever uses them") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers);
    const std::filesystem::path path = folder / "w.safetensors";
    const TrainingOutcome ruined{.meta_steps = 1,
                                 .skipped = 1,
                                 .trajectories = 1,
                                 .diverged_trajectories = 1,
                                 .diverged = true,
                                 .gain = gain_of({2, 3}, {2, 3})};
    write_weights(path, bench.optimizer, bench.start(), training_metadata("1234", 1.5, ruined));
    const TensorFile file = read_safetensors(path);
    CHECK(to_json(training_of(file).value()) == to_json(ruined));
    CHECK(training_seconds(file) == 1.5);
    std::vector<std::string> notes;
    for (const std::string& remark : remarks_on(ruined))
        notes.push_back(path.string() + ": of its training: " + remark);
    CHECK(notes.size() == 3);
    CHECK(weight_notes(file, {}, bench.optimizer, bench.optimizee, bench.data) == notes);
    // Nothing is known of the training of weights that others publish.
    write_safetensors(path, {}, {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}});
    const TensorFile published = read_safetensors(path);
    CHECK_FALSE(training_of(published));
    CHECK(training_seconds(published) == 0);
    CHECK(weight_notes(published, {}, bench.optimizer, bench.optimizee, bench.data).empty());
}

TEST_CASE(
    "weights: builds of all plugins that were at their training are compared for weights that are given") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers);
    const std::filesystem::path path = folder / "w.safetensors";
    write_weights(path,
                  bench.optimizer,
                  bench.start(),
                  build_metadata({{"optimizee sparse_recovery", "0123456789abcdef"},
                                  {"loss trajectory_sum", "fedcba"},
                                  {"loss of somebody else", "abcdef"}}));
    const auto builds = known_builds(catalog());
    const auto notes =
        weight_notes(read_safetensors(path), builds, bench.optimizer, bench.optimizee, bench.data);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("optimizee sparse_recovery 0123456789ab, here ") != std::string::npos);
    CHECK(notes[0].find("loss trajectory_sum fedcba, here ") != std::string::npos);
    CHECK(notes[0].find("somebody") == std::string::npos);
}

TEST_CASE("weights: those of another build of a plugin are told, with both builds") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers);
    const std::filesystem::path path = folder / "w.safetensors";
    std::map<std::string, std::string> builds;
    add_build(bench.optimizer.entry(), builds);
    add_build(bench.optimizee.entry(), builds);
    REQUIRE(builds.size() == 2);
    CHECK(builds.at("optimizer lista") == Catalog::build_of(bench.optimizer.entry()).id);
    write_weights(path, bench.optimizer, bench.start(), build_metadata(builds));
    CHECK(origin_notes(read_safetensors(path), builds).empty());
    const std::string here = builds.at("optimizer lista").substr(0, 12);
    builds["optimizer lista"] = std::string(40, 'f');
    CHECK(origin_notes(read_safetensors(path), builds) ==
          std::vector<std::string>{
              path.string() + ": learned with other builds of its plugins than these: optimizer lista " +
              here + ", here ffffffffffff; results may differ from those of a new training"});
    // What was not written down cannot differ.
    CHECK(origin_notes(read_safetensors(path), {{"loss mse_to_solution", "ffff"}}).empty());
    write_safetensors(path, {}, {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}});
    CHECK(origin_notes(read_safetensors(path), builds).empty());
}

TEST_CASE("weights: learned with one value of an option and used with another, they say so by its name") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers),
        other("lista", {Bench::text("layers", "2"), Bench::text("theta_first", "0.5")});
    const std::filesystem::path path = folder / "w.safetensors";
    write_weights(
        path, bench.optimizer, bench.start(), problem_metadata(bench.optimizer, bench.optimizee, bench.data));
    const TensorFile file = read_safetensors(path);
    CHECK(option_note(file, bench.optimizer).empty());
    const std::string note = option_note(file, other.optimizer);
    CHECK(note == path.string() +
                      ": these weights were learned with other options: theta_first 0.6, here 0.5; they may "
                      "not suit these");
    CHECK(weight_notes(file, {}, other.optimizer, other.optimizee, other.data) ==
          std::vector<std::string>{note});
    // A number by another name, and an option that there no longer is, say nothing.
    write_safetensors(path,
                      {},
                      {{"l2o.format", "1"},
                       {"l2o.optimizer", "lista"},
                       {"l2o.options", R"({"theta_first": 0.60, "width": 7})"}});
    CHECK(option_note(read_safetensors(path), bench.optimizer).empty());
}

TEST_CASE("weights: learned on one matrix and used on another, they say so by the name of the matrix") {
    const ScratchFolder folder;
    const Bench bench("lista", kTwoLayers), other("lista", kTwoLayers, Dtype::kF64, 4);
    const std::filesystem::path path = folder / "w.safetensors";
    write_weights(
        path, bench.optimizer, bench.start(), problem_metadata(bench.optimizer, bench.optimizee, bench.data));
    CHECK(problem_note(read_safetensors(path), bench.optimizer, bench.optimizee, bench.data).empty());
    const std::string note =
        problem_note(read_safetensors(path), other.optimizer, other.optimizee, other.data);
    CHECK(note.starts_with(path.string() + ": these weights were learned for another problem: its A"));
    CHECK(note.ends_with(" had other values, sizes or precision than here; they may not suit this one"));
    CHECK(weight_notes(read_safetensors(path), {}, other.optimizer, other.optimizee, other.data) ==
          std::vector<std::string>{note});
    // Nothing is known of the problem of a file that does not name it.
    write_weights(path, bench.optimizer, bench.start());
    CHECK(problem_note(read_safetensors(path), other.optimizer, other.optimizee, other.data).empty());
}
