// What is broken is refused in one line that says where, with the exit code of its kind, and nothing is left
// behind: whole experiment files, weights, problem files and data sets, through the l2o program.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <vector>

#include "framework/store/hash.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::test::contains, l2o::test::Outcome, l2o::test::run_l2o;

namespace {

std::string replaced(std::string text, const std::string& part, const std::string& by) {
    const std::size_t at = text.find(part);
    REQUIRE(at != std::string::npos);
    return text.replace(at, part.size(), by);
}

void write(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

/// Runs l2o, and wants one line of refusal and no file that was not there before.
void check_refusal(const ScratchFolder& folder,
                   const std::string& arguments,
                   int code,
                   const std::string& message) {
    auto before = folder.file_names();
    const Outcome outcome = run_l2o(folder, arguments);
    CHECK(outcome.code == code);
    CHECK(outcome.err.starts_with("l2o: error: "));
    CHECK_MESSAGE(contains(outcome.err, message), outcome.err);
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
    auto after = folder.file_names();
    std::erase_if(after, [](const std::string& name) { return name == ".stdout" || name == ".stderr"; });
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    CHECK(after == before);
}

const std::string kClassic =
    "name tiny\n"
    "seed 1\n"
    "optimizee { use quadratic n 3 }\n"
    "contestants { descent { optimizer { use gradient_descent learning_rate 0.02 } } }\n"
    "evaluate { instances 4 iterations 5 }\n";

const std::string kLearned =
    "name tiny\n"
    "optimizee { use quadratic n 3 }\n"
    "contestants { dm { optimizer { use l2o_dm hidden 4 } train { epochs 1 horizon 4 unroll 2 batch 2\n"
    "loss { use trajectory_sum } meta_optimizer { use adam } } } }\n"
    "evaluate { instances 4 iterations 5 }\n";

std::string classic(const std::string& part, const std::string& by) { return replaced(kClassic, part, by); }
/// A game and who learns it.
const std::string kGame =
    "name tiny\nseed 1\n"
    "optimizee { use saddle }\n"
    "contestants { step { optimizer { use learned_secant } train { epochs 2 horizon 4 unroll 2 batch 2\n"
    "loss { use residual_ratio } meta_optimizer { use adam } } } }\n"
    "evaluate { instances 4 iterations 5 }\n";
std::string game(const std::string& part, const std::string& by) { return replaced(kGame, part, by); }
std::string learned(const std::string& part, const std::string& by) { return replaced(kLearned, part, by); }

struct BrokenFile {
    std::string text;
    int code;
    const char* message;
};

/// A safetensors file of these bytes.
std::string safetensors(const std::string& header, const std::string& data) {
    const std::uint64_t size = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &size, 8);
    return bytes + header + data;
}

std::string floats(std::size_t n) { return std::string(4 * n, '\0'); }

/// One instance of the quadratic, of zeros.
const std::string kProblem = safetensors(R"({"__metadata__":{"l2o.optimizee":"quadratic"},)"
                                         R"("W":{"dtype":"F32","shape":[1,2,2],"data_offsets":[0,16]},)"
                                         R"("y":{"dtype":"F32","shape":[1,2],"data_offsets":[16,24]}})",
                                         floats(6));

}  // namespace

TEST_CASE("an experiment that is broken is refused by the line of its fault") {
    const std::string other_include = "#include \"none.info\"\n" + kClassic;
    const std::vector<BrokenFile> cases{
        {"", 2, "c.info: optimizee.use is missing"},
        {std::string("\0\1\2{", 4), 2, "c.info:1: byte 0 is the control character 0x00; expected a file"},
        {replaced(kClassic, "descent", "\"d\xff\""), 2, "c.info:4: byte 16 is 0xff, which is not UTF-8"},
        {replaced(kClassic, "tiny", "\x1b[31m"), 2, "c.info:1: byte 5 is the control character 0x1b"},
        {replaced(kClassic, "descent", "\"a\\nb\""),
         2,
         "c.info:4: the name of the contestant 'a\\nb' has more than 200 bytes or a control character"},
        {replaced(kClassic, "descent", std::string(201, 'd')), 2, "' has more than 200 bytes or a control"},
        {replaced(kClassic, "tiny", "\"a\\tb\""), 2, "c.info:1: name is 'a\\tb', and a folder is named"},
        {replaced(kClassic, "tiny", "\"tiny\" \\"),
         2,
         "c.info:2: expected '\"' after the '\\' of the previous"},
        {kClassic + "more \"x\" \\", 2, "c.info:6: the text ends after a '\\'"},
        {replaced(
             kClassic, "contestants {", "contestants { descent { optimizer { use gradient_descent } }\n"),
         2,
         "c.info:5: 'descent' was given already, in line 4; remove one of them, or make them one section"},
        {kClassic + "evaluate { instances 8 }\n", 2, "c.info:6: 'evaluate' was given already, in line 5"},
        {kClassic + "x {\n", 2, "c.info:6: this '{' is never closed"},
        {kClassic + "}\n", 2, "c.info:6: unmatched }"},
        {kClassic + "name \"abc\n", 2, "c.info:6: a string does not end on its line"},
        {other_include, 5, "c.info:1: cannot read the included file 'none.info'"},
        {"#include \"/dev/zero\"\n", 5, "(/dev/zero: is a device; expected a file)"},
        {"#include \"c.info\"\n", 2, "c.info:1: the includes form a cycle"},
        {kClassic + "evalute { instances 4 }\n",
         2,
         "c.info:6: unknown key 'evalute'; did you mean 'evaluate'?"},
        {"name t\noptimizee { use quadratic }\ncontestants {\n}\n",
         2,
         "c.info:3: contestants: there is no contestant"},
        {classic("use gradient_descent", "use gradient_descent use adam"),
         2,
         "c.info:4: 'use' was given already"},
        {classic("use gradient_descent", ""), 2, "c.info:4: contestants.descent.optimizer.use is missing"},
        {classic("gradient_descent", "gradient_decent"),
         2,
         "c.info:4: contestants.descent.optimizer.use: unknown optimizer"},
        {classic("instances 4", "instances 100000000 starts 100000"),
         2,
         "evaluate.instances is 100000000 and evaluate.starts 100000: instances, starts and the first and "
         "last point of one contestant take"},
        {classic("0.02", "1e400"),
         2,
         "learning_rate is '1e400'; expected a number > 0 of a size that a double holds, 4.9e-324 to "
         "1.79e308"},
        {classic("0.02", "fast"), 2, "c.info:4: contestants.descent.optimizer.learning_rate is 'fast'"},
        {classic("0.02", "nan"), 2, "c.info:4: contestants.descent.optimizer.learning_rate is 'nan'"},
        {classic("0.02", "-1"),
         2,
         "c.info:4: contestants.descent.optimizer.learning_rate is '-1'; expected a number > 0"},
        {classic("n 3", "n 3.5"), 2, "c.info:3: optimizee.n is '3.5'; expected a whole number >= 1"},
        {classic("n 3", "n 99999999999999999999"),
         2,
         "c.info:3: optimizee.n is '99999999999999999999'; expected a whole number >= 1 and at most "
         "9223372036854775807"},
        {classic("n 3", "n 2000000000"), 2, "shape [1, 2000000000, 2000000000]: too large"},
        {classic("iterations 5", "iterations 0"),
         2,
         "c.info:5: evaluate.iterations is '0'; expected a whole number in [1, 1e+08]"},
        {classic("iterations 5", "iterations 9223372036854775807"),
         2,
         "c.info:5: evaluate.iterations is '9223372036854775807'; expected a whole number in [1, 1e+08]"},
        {classic("instances 4", "instances 5000000000"), 2, "c.info:5: evaluate.instances is '5000000000'"},
        {classic("0.02", "1e400"), 2, "learning_rate is '1e400'; expected a number > 0"},
        {classic("iterations 5", "metric nmse_db"),
         2,
         "evaluate.metric: 'quadratic' has no metric 'nmse_db'"},
        {classic("name tiny", "name ../../tiny"),
         2,
         "c.info:1: name is '../../tiny', and a folder is named after it"},
        {classic("seed 1", "seed one"), 2, "c.info:2: seed is 'one'; expected a whole number >= 0"},
        {classic("gradient_descent learning_rate 0.02", "fista"),
         3,
         "optimizer 'fista' needs the problem data 'A'"},
        {classic("optimizee {", "optimizee quadratic {"),
         2,
         "c.info:3: optimizee is 'quadratic'; expected a section"},
        {classic("learning_rate 0.02 }", "} train { epochs 1 loss { use trajectory_sum } }"),
         2,
         "c.info:4: contestants.descent.train: 'gradient_descent' has nothing to learn"},
        {classic("learning_rate 0.02 }", "} weights none.safetensors"),
         2,
         "c.info:4: contestants.descent.weights: 'gradient_descent' has nothing to learn"},
        {learned("unroll 2", "unroll 8"),
         2,
         "c.info:3: contestants.dm.train.unroll is '8'; expected at most the horizon, 4"},
        {replaced(learned("trajectory_sum", "mse_to_solution"), "quadratic n 3", "rastrigin"),
         3,
         "loss 'mse_to_solution' needs the problem data 'x_star'"},
        {learned("epochs 1", "epochs 1 multipliers { nothing 2 }"),
         2,
         "train.multipliers: optimizer 'l2o_dm' has no"},
        {learned("loss {", "coordinate_subsample 0 loss {"),
         2,
         "train.coordinate_subsample is '0'; expected a number in (0, 1]"},
        {learned("loss {", "coordinate_subsample 0.5 loss {"),
         2,
         "train.coordinate_subsample is 0.5; it needs second_order drop"},
        {learned("loss {", "estimator es coordinate_subsample 0.5 loss {"),
         2,
         "train.coordinate_subsample is below 1, and estimator 'es' differentiates nothing"},
        {learned("loss {", "update_probability { middle 0 } loss {"),
         2,
         "train.update_probability.middle is '0'; expected a number in (0, 1]"},
        {learned("loss {", "update_probability { last 0.1 } loss {"),
         2,
         "train.update_probability.last is 0.1, and 'quadratic' has no layer in that third: it has one, "
         "which is "
         "the middle; set it to 1, and middle instead"},
        {learned("loss {", "estimator es self_paced { share 0.5 } loss {"),
         2,
         "c.info:4: contestants.dm.train.self_paced.share is below 1, and estimator is 'es'; expected 1, or "
         "the "
         "estimator bptt and the schedule flat or curriculum"},
        {learned("loss {", "schedule layerwise self_paced { share 0.5 } loss {"),
         2,
         "train.self_paced.share is below 1, and schedule is 'layerwise'; expected 1, or the estimator bptt"},
        {learned("epochs 1", "epochs 4 self_paced { share 0.5 epochs 5 }"),
         2,
         "c.info:3: contestants.dm.train.self_paced.epochs is '5'; expected at most the trajectories of the "
         "training, 4: some rows would never count"},
        {learned("epochs 1",
                 "epochs 200 self_paced { share 0.5 epochs 5 } stages { a { epochs 2 } b { epochs 2 } }"),
         2,
         "train.self_paced.epochs is '5'; expected at most the trajectories of the training, 4"},
        {learned("epochs 1", "epochs 4 self_paced { epochs 2 }"),
         2,
         "c.info:3: contestants.dm.train.self_paced.epochs is set, and share is not: all rows count from the "
         "first trajectory on; set share, or remove epochs"},
        {learned("loss {", "self_paced { share 0 } loss {"),
         2,
         "train.self_paced.share is '0'; expected a number in (0, 1]"},
        {learned("loss {", "random_scaling -1 loss {"),
         2,
         "train.random_scaling is '-1'; expected a number >= 0"},
        {learned("loss {", "convex_term 2.5 loss {"),
         2,
         "train.convex_term is '2.5'; expected a whole number in [0, 1e+08]"},
        {replaced(replaced(learned("loss {", "convex_term 2 loss {"), "l2o_dm", "l2o_minmax"),
                  "quadratic n 3",
                  "saddle"),
         2,
         "train.convex_term adds a function that is minimised, and 'saddle' is a game between two players; "
         "set it to 0"},
        {replaced(learned("hidden 4", ""), "use trajectory_sum", "use minmax_gain"),
         3,
         "no block is to be maximised, and this loss says what two players gain"},
        {game("residual_ratio", "minmax_gain"),
         2,
         "contestants.step: train.loss: 'minmax_gain' scores steps of one player at a time, and "
         "'learned_secant' moves both at once; expected an optimizer such as 'l2o_minmax', or a loss such as "
         "'residual_ratio'"},
        {game("iterations 5", "iterations 5 metric objective"),
         2,
         "evaluate.metric is 'objective', and 'saddle' is a game, whose objective tells no better point from "
         "a worse one: what one player gains the other loses; expected one of: distance, d_u, d_v, "
         "mean_d_u, mean_distance, residual, gap"},
        {game("use learned_secant }", "use learned_secant memory { sweep 1 2 } } tune { metric objective }"),
         2,
         "contestants.step.tune.metric is 'objective', and 'saddle' is a game"},
        {game("use learned_secant }",
              "use learned_secant } safeguard { use gradient_descent_ascent test objective }"),
         2,
         "contestants.step: safeguard: test is objective, and 'saddle' is a game, where what one player "
         "gains "
         "the other loses; expected test residual or ahead"},
        {replaced(
             game("saddle", "robust_least_squares m 5 n 10"), "learned_secant", "learned_secant hidden 3"),
         2,
         "c.info:3: optimizee: optimizee 'robust_least_squares': m is 5; expected at least n, 10"},
        {game("epochs 2", "optimizee { use robust_least_squares m 5 n 10 } epochs 2"),
         2,
         "c.info:3: contestants.step.train.optimizee: optimizee 'robust_least_squares': m is 5"},
        {replaced(game("saddle", "robust_least_squares m 6 n 2"), "residual_ratio", "mse_to_solution"),
         3,
         "contestants.step: loss 'mse_to_solution' on 'robust_least_squares': x_star has 2 numbers, and the "
         "variables 20: it is the "
         "solution for some of them; use another loss, for example 'residual_ratio'"},
        {game("learned_secant", "l2o_minmax steps 5"),
         2,
         "optimizer 'l2o_minmax' on 'saddle': steps is 5, and form scaled has no warm-up that would follow "
         "it; expected "
         "0, "
         "or form published"},
        {replaced(kClassic, "gradient_descent learning_rate 0.02", "anderson memory 1000000000"),
         2,
         "c.info:4: contestants.descent.optimizer.memory is '1000000000'; expected a whole number in [1, "
         "1000]"},
        {classic("learning_rate 0.02", "decay_from 0.9 decay_until 0.5"),
         2,
         "decay_from is 0.900000, and decay_until 0.500000; expected it to be less"},
        {learned("epochs 1", "epochs 1 memory 1"), 2, "train.memory is 1 bytes for 1 shards, of which each"},
        {learned("epochs 1", "epochs 1 memory 200"), 2, "a window of 2 steps needs at least"},
        {learned("epochs 1", "epochs 1 schedule layerwise"),
         2,
         "train.schedule is 'layerwise'; optimizer 'l2o_dm' has no"},
    };
    for (const BrokenFile& broken : cases) {
        CAPTURE(broken.text);
        const ScratchFolder folder;
        write(folder / "c.info", broken.text);
        check_refusal(folder, "run c.info --quiet", broken.code, broken.message);
    }
}

TEST_CASE("nothing is trained that could not be evaluated") {
    const std::vector<BrokenFile> cases{
        {learned("instances 4", "instances 4 metric nosuch"),
         2,
         "evaluate.metric: 'quadratic' has no metric 'nosuch'"},
        {replaced(learned("l2o_dm hidden 4 }", "l2o_swarm }\nsafeguard { use gradient_descent }"),
                  "epochs 1",
                  "epochs 2"),
         2,
         "contestants.dm: safeguard"},
        {learned("instances 4", "instances 100000000 starts 100000"),
         2,
         "evaluate.instances is 100000000 and evaluate.starts 100000"},
    };
    for (const BrokenFile& broken : cases) {
        for (const char* verb : {"train", "run"}) {
            CAPTURE(broken.text);
            CAPTURE(std::string(verb));
            const ScratchFolder folder;
            write(folder / "c.info", broken.text);
            check_refusal(folder, verb + std::string(" c.info --quiet"), broken.code, broken.message);
        }
    }
}

TEST_CASE("a file without an evaluation can be trained with, also where a method has layers") {
    const ScratchFolder folder;
    write(
        folder / "c.info",
        "name tiny\noptimizee { use lasso m 3 n 4 }\n"
        "contestants { lista { optimizer { use lista layers 2 } train { epochs 1 horizon 2 unroll 2 batch 2\n"
        "loss { use final_objective } meta_optimizer { use adam } } } }\n");
    const Outcome outcome = run_l2o(folder, "train c.info --quiet");
    CHECK_MESSAGE(outcome.code == 0, outcome.err);
    CHECK(contains(run_l2o(folder, "run c.info --quiet").err, "'lista' has 2 layers, one per step"));
}

TEST_CASE(
    "a folder whose name is not UTF-8 is worked in and shown escaped, or refused before anything runs") {
    const ScratchFolder folder;
    std::filesystem::create_directory(folder / "d_\xe4");
    write(folder / "d_\xe4/p", kProblem);
    const Outcome outcome =
        run_l2o(folder, "solve --optimizer adam --problem d_\xe4/p --output d_\xe4/x --iterations 2 --json");
    CHECK_MESSAGE(outcome.code == 0, outcome.err);
    CHECK(contains(outcome.out, R"("output": "d_\\xe4/x")"));
    CHECK(std::filesystem::exists(folder / "d_\xe4/x"));
    CHECK(contains(run_l2o(folder, "solve --optimizer adam --problem d_\xe4/q --output x").err, "d_\\xe4/q"));
    // What refers to files is kept in files of its own.
    write(folder / "d_\xe4/c.info", learned("epochs 1", "epochs 1 warm_start w.safetensors"));
    CHECK(contains(run_l2o(folder, "run d_\xe4/c.info --quiet").refusal(),
                   "2 l2o: error: d_\\xe4/c.info:3: contestants.dm.train.warm_start is '"));
    CHECK(!std::filesystem::exists(folder / "runs"));
}

TEST_CASE("a problem file that is broken is refused by what is wrong with its bytes") {
    const std::string metadata = R"("__metadata__":{"l2o.optimizee":"quadratic"})";
    const std::string w = R"("W":{"dtype":"F32","shape":[1,2,2],"data_offsets":[0,16]})";
    const std::string y = R"("y":{"dtype":"F32","shape":[1,2],"data_offsets":[16,24]})";
    const std::string good = "{" + metadata + "," + w + "," + y + "}";
    const auto broken = [&](const std::string& part, const std::string& by) {
        return safetensors(replaced(good, part, by), floats(6));
    };
    const std::vector<BrokenFile> cases{
        {"", 5, "holds 0 bytes; expected at least 8"},
        {"abc", 5, "holds 3 bytes; expected at least 8"},
        {std::string(8, '\xff') + "{}", 5, "header length is 18446744073709551615 bytes"},
        {safetensors("no JSON", ""), 5, "header is not a JSON object"},
        {safetensors("[1]", ""), 5, "header is not a JSON object"},
        {safetensors(good, floats(5)), 5, "tensor 'y': data_offsets is [16,24]; expected begin <= end <= 20"},
        {safetensors(good, floats(7)), 5, "tensors cover 24 bytes; expected 28"},
        {broken("[16,24]", "[8,16]"), 5, "tensor 'y': data begins at byte 8; expected 16"},
        {broken("[0,16]", "[16,0]"), 5, "tensor 'W': data_offsets is [16,0]"},
        {broken("[1,2,2]", "[1,2,3]"), 5, "tensor 'W': data_offsets span 16 bytes; expected 24"},
        {broken("[1,2,2]", "[1,-2,-2]"), 5, "tensor 'W': shape is [1,-2,-2]"},
        {broken("[1,2,2]", "[4294967296,4294967296,4]"), 5, "tensor 'W': shape"},
        {broken("F32", "F31"), 5, "tensor 'W': dtype \"F31\" is not supported"},
        {broken(R"("shape":[1,2,2],)", ""), 5, "tensor 'W': has no shape"},
        {broken("[1,2],", R"("two",)"), 5, "tensor 'y': shape is \"two\""},
    };
    for (const BrokenFile& file : cases) {
        CAPTURE(file.text);
        const ScratchFolder folder;
        write(folder / "p.safetensors", file.text);
        check_refusal(folder,
                      "solve --optimizer adam --problem p.safetensors --output out.safetensors --quiet",
                      file.code,
                      file.message);
    }
    // The file that all of these are made from is a good one.
    const ScratchFolder folder;
    write(folder / "p.safetensors", safetensors(good, floats(6)));
    CHECK(run_l2o(folder, "solve --optimizer adam --problem p.safetensors --output out.safetensors").code ==
          0);
}

TEST_CASE("weights that do not fit are refused by the tensor that does not") {
    const std::string metadata =
        R"("__metadata__":{"l2o.format":"1","l2o.optimizer":"l2o_dm","l2o.options":"{\"hidden\": 4}"})";
    const auto with = [&](const std::string& more) {
        return safetensors("{" + metadata + more + "}", floats(4));
    };
    const std::string b = R"(,"linear/b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})";
    const std::vector<BrokenFile> cases{
        {"", 5, "w.safetensors: holds 0 bytes"},
        {safetensors("{}", ""), 2, "w.safetensors: metadata l2o.format is missing"},
        {replaced(with(b), R"("l2o_dm")", R"("l2o_dx")"),
         2,
         "w.safetensors: metadata l2o.optimizer is 'l2o_dx'"},
        {replaced(with(b), R"({\"hidden\": 4})", R"({\"hiden\" : 4})"),
         2,
         "optimizer 'l2o_dm' has no option 'hiden'; did you mean 'hidden'?"},
        {with(b), 2, "w.safetensors: tensor 'lstm_1/w_gates' [6, 16] is missing"},
        {safetensors("{" + metadata + "}", ""),
         2,
         "w.safetensors: has no tensors; expected those of 'l2o_dm', as 'l2o train' writes them; known: "
         "linear/b"},
        {with(replaced(replaced(b, "[4]", "[1]"), "16", "4")),
         5,
         "w.safetensors: tensors cover 4 bytes; expected 16"},
        {with(replaced(b, "linear/b", "linear/x")), 2, "w.safetensors: unknown tensor 'linear/x'"},
    };
    for (const BrokenFile& file : cases) {
        CAPTURE(file.text);
        const ScratchFolder folder;
        write(folder / "w.safetensors", file.text);
        write(folder / "c.info",
              "name tiny\noptimizee { use quadratic n 3 }\ncontestants { dm { optimizer { use l2o_dm }\n"
              "weights w.safetensors } }\nevaluate { instances 4 iterations 5 }\n");
        check_refusal(folder, "run c.info --quiet", file.code, file.message);
    }
}

TEST_CASE("weights of other options than those that are set, wherever they are set, are refused by both") {
    struct Case {
        std::string in_file, on_command_line;
    };
    for (const Case& set : {Case{"", " contestants.dm.optimizer.hidden=8"},
                            Case{"hidden 8", ""},
                            Case{"hidden { sweep 8 }", ""}}) {
        CAPTURE(set.in_file);
        const ScratchFolder folder;
        write(
            folder / "w.safetensors",
            safetensors(
                R"({"__metadata__":{"l2o.format":"1","l2o.optimizer":"l2o_dm","l2o.options":"{\"hidden\": 4}"},)"
                R"("linear/b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                floats(1)));
        write(folder / "c.info",
              "name tiny\noptimizee { use quadratic n 3 }\ncontestants { dm { optimizer {\nuse l2o_dm\n" +
                  set.in_file + "\n}\nweights w.safetensors } }\nevaluate { instances 4 iterations 5 }\n");
        check_refusal(
            folder,
            "run c.info --quiet" + set.on_command_line,
            2,
            "is missing; known: linear/b; these weights were learned with other options: hidden 4, here 8");
    }
}

TEST_CASE("images and labels that are damaged or do not belong together are refused by their file") {
    if (!contains(run_l2o("list optimizees").out, "mlp ")) {
        MESSAGE("SKIPPED: this build has no LibTorch, hence no plugin that reads images");
        return;
    }
    const auto big_endian = [](std::initializer_list<std::uint32_t> numbers) {
        std::string bytes;
        for (const std::uint32_t number : numbers)
            for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(number >> shift & 255);
        return bytes;
    };
    const std::string images = big_endian({0x803, 3, 2, 2}) + std::string(12, '\1');
    const std::string labels = big_endian({0x801, 3}) + std::string(3, '\1');
    const char *image_file = "train-images-idx3-ubyte", *label_file = "train-labels-idx1-ubyte";
    struct Case {
        const char* file;
        std::string bytes;
        const char* message;
    };
    const std::vector<Case> cases{
        {image_file, "", "train-images-idx3-ubyte: ends after 0 bytes"},
        {image_file, labels, "train-images-idx3-ubyte: "},
        {image_file, images.substr(0, 20), "train-images-idx3-ubyte: "},
        {image_file, images + "x", "train-images-idx3-ubyte: "},
        {image_file, big_endian({0x803, 0xffffffff, 0xffffffff, 0xffffffff}), "train-images-idx3-ubyte: "},
        {label_file, big_endian({0x801, 2}) + std::string(2, '\1'), "train-labels-idx1-ubyte"},
        {label_file, big_endian({0x801, 3}) + std::string(3, '\x0a'), "train-labels-idx1-ubyte"},
    };
    for (const Case& broken : cases) {
        CAPTURE(broken.bytes);
        const ScratchFolder folder;
        write(folder / image_file, images);
        write(folder / label_file, labels);
        write(folder / "t10k-images-idx3-ubyte", images);
        write(folder / "t10k-labels-idx1-ubyte", labels);
        write(folder / "c.info",
              "name tiny\noptimizee { use mlp data . hidden 2 batch_size 2 }\n"
              "contestants { a { optimizer { use adam } } }\nevaluate { instances 1 iterations 1 }\n");
        write(folder / broken.file, broken.bytes);
        check_refusal(folder, "run c.info --quiet", 5, broken.message);
    }
}

TEST_CASE("a plugin whose libraries are missing is refused by the name of the one that is") {
    const ScratchFolder folder;
    const std::filesystem::path from = L2O_BROKEN_PLUGINS;
    for (const char* name : {"l2o_optimizer_crashes.so", "l2o_optimizer_crashes.l2o.json"})
        std::filesystem::copy_file(from / name, folder / name);
    std::ostringstream bytes;
    bytes << std::ifstream(folder / "l2o_optimizer_crashes.so", std::ios::binary).rdbuf();
    const std::string library = replaced(bytes.str(), "libstdc++.so.6", "libtorch_.so.1");
    write(folder / "l2o_optimizer_crashes.so", library);
    nlohmann::json manifest = nlohmann::json::parse(std::ifstream(folder / "l2o_optimizer_crashes.l2o.json"));
    manifest["build"]["sha1"] = l2o::framework::sha1_hex(library);
    write(folder / "l2o_optimizer_crashes.l2o.json", manifest.dump());
    write(folder / "p.safetensors", kProblem);
    check_refusal(folder,
                  "solve --optimizer crashes --problem p.safetensors --output x.safetensors --quiet "
                  "--plugin-path .",
                  3,
                  "libtorch_.so.1: cannot open shared object file");
}

#ifndef __SANITIZE_ADDRESS__
TEST_CASE("a plugin that crashes is named before its signal ends the program") {
    const ScratchFolder folder;
    write(folder / "p.safetensors", kProblem);
    const Outcome outcome =
        run_l2o(folder,
                "solve --optimizer crashes --problem p.safetensors --output x.safetensors "
                "--quiet --plugin-path " L2O_BROKEN_PLUGINS);
    CHECK(outcome.code == 128 + SIGABRT);
    CHECK(contains(outcome.err, "l2o: error: plugin '"));
    CHECK(contains(outcome.err, "l2o_optimizer_crashes.so' crashed: Aborted"));
}
#endif
