#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "framework/evaluate/evaluate.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::framework::CsvTable, l2o::framework::read_file, l2o::framework::write_file_atomically;
using l2o::test::contains, l2o::test::Outcome, l2o::test::run_l2o;
using nlohmann::json;

namespace {

// Of a contestant: 3 instances, 2 starts.
constexpr std::size_t kPoints = 4, kRows = 6, kOfOne = kRows * kPoints;

/// A run of two rates of gradient descent and Adam on quadratics. @return its folder
std::string run_in(ScratchFolder& folder, const std::string& settings = "") {
    std::ofstream(folder / "small.info") << R"(
name small
seed 1
dtype float64
optimizee { use quadratic
            n 3 }
contestants {
    descent { optimizer { use gradient_descent
                          learning_rate { sweep 0.01 0.05 } } }
    adam { optimizer { use adam
                       learning_rate 0.1 } }
}
evaluate { instances 3
           starts 2
           iterations 6
           metrics_every 2
           metric objective }
)";
    const Outcome outcome = run_l2o(folder, "run small.info --no-report --json " + settings);
    REQUIRE(outcome.code == 0);
    return json::parse(outcome.out).at("folder");
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines(1);
    for (const char c : text) {
        if (c == '\n')
            lines.emplace_back();
        else
            lines.back() += c;
    }
    lines.pop_back();
    return lines;
}

}  // namespace

TEST_CASE(
    "l2o export --csv: a line per contestant, start and recorded point, with options and what is swept") {
    ScratchFolder folder;
    const std::string run = run_in(folder);
    CHECK(run_l2o(folder, "export " + run + " --csv rows.csv").out == "csv: rows.csv\n");
    const CsvTable csv = CsvTable::read(folder / "rows.csv");
    CHECK(
        read_file(folder / "rows.csv")
            .starts_with("contestant,group,optimizer,optimizer.learning_rate,option.armijo_c,option.beta1,"));
    CHECK(csv.rows() == 3 * kOfOne);
    const auto text = [&](std::size_t row, const char* column) { return csv.text(row, csv.column(column)); };
    CHECK(text(0, "contestant") == "descent.learning_rate=0.01");
    CHECK(text(0, "group") == "descent");
    CHECK(text(0, "optimizer.learning_rate") == "0.01");
    CHECK(text(0, "option.learning_rate") == "0.01");
    CHECK(text(0, "option.beta1") == "");
    CHECK(text(0, "best_objective") == "");  // nothing is paid for yet
    const std::size_t last = csv.rows() - 1;
    CHECK(text(last, "group") == "adam");
    CHECK(text(last, "optimizer.learning_rate") == "");
    CHECK(text(last, "option.learning_rate") == "0.1");
    CHECK(text(last, "option.beta1") == "0.9");
    CHECK(text(last, "training_seed") == "");
    CHECK(text(last, "instance") == "2");
    CHECK(text(last, "start") == "1");
    CHECK(text(last, "iteration") == "6");
    CHECK(text(last, "evaluations") == "7");  // six gradients, and the value of the end

    // The rows are those whose medians are in curves.csv.
    const CsvTable curves = CsvTable::read(std::filesystem::path(run) / "curves.csv");
    for (std::size_t point = 0; point < 4; ++point) {
        CAPTURE(point);
        std::vector<double> values, best;
        for (std::size_t row = point; row < kOfOne; row += 4) {
            values.push_back(csv.number(row, csv.column("objective")));
            if (!text(row, "best_objective").empty())
                best.push_back(csv.number(row, csv.column("best_objective")));
        }
        CHECK(l2o::framework::distribution_of(values).median ==
              curves.number(point, curves.column("median")));
        if (point == 0) continue;
        REQUIRE(best.size() == 6);
        CHECK(l2o::framework::distribution_of(best).median ==
              curves.number(point, curves.column("best_objective")));
    }
}

TEST_CASE("l2o export --csv has the seed of a training, swept or not") {
    ScratchFolder folder;
    const std::string learned =
        "--set contestants.dm.optimizer.use=l2o_dm --set contestants.dm.optimizer.hidden=2 --set "
        "train.epochs=1 --set train.horizon=2 --set train.batch=2 --set train.seed=7";
    const std::string run = run_in(folder, learned);
    CHECK(run_l2o(folder, "export " + run + " --csv rows.csv").code == 0);
    const CsvTable csv = CsvTable::read(folder / "rows.csv");
    CHECK(csv.text(csv.rows() - 1, csv.column("contestant")) == "dm");
    CHECK(csv.text(csv.rows() - 1, csv.column("training_seed")) == "7");
    CHECK(csv.text(0, csv.column("training_seed")) == "");
}

TEST_CASE("l2o export: a tuned contestant is one, under its name, with the options that were chosen") {
    ScratchFolder folder;
    const std::string run = run_in(folder, "contestants.descent.tune.instances=4");
    CHECK(run_l2o(folder, "export " + run + " --csv rows.csv --coco coco --ioh ioh").code == 0);
    const json entry =
        json::parse(read_file(std::filesystem::path(run) / "results.json")).at("entries").at(0);
    const std::string chosen = entry.at("tuned").at("chosen").at(0).at(1);
    CHECK(entry.at("tuned").at("tried").size() == 2);
    const CsvTable csv = CsvTable::read(folder / "rows.csv");
    CHECK(csv.rows() == 2 * kOfOne);
    for (std::size_t row = 0; row < kOfOne; ++row) {
        CHECK(csv.text(row, csv.column("contestant")) == "descent");
        CHECK(csv.text(row, csv.column("option.learning_rate")) == chosen);
    }
    CHECK(csv.text(kOfOne, csv.column("contestant")) == "adam");
    for (const char* name : {"coco", "ioh"}) {
        CAPTURE(name);
        std::set<std::string> folders;
        for (const auto& one : std::filesystem::directory_iterator(folder / name))
            if (one.is_directory()) folders.insert(one.path().filename());
        CHECK(folders == std::set<std::string>{"adam", "descent"});
    }
}

TEST_CASE("l2o export --csv: a table of many parts is whole") {
    ScratchFolder folder;
    const std::string run = run_in(folder, "evaluate.iterations=600");
    CHECK(run_l2o(folder, "export " + run + " --csv rows.csv").code == 0);
    CHECK(std::filesystem::file_size(folder / "rows.csv") > 300'000);
    const CsvTable csv = CsvTable::read(folder / "rows.csv");
    REQUIRE(csv.rows() == 3 * 3 * 2 * 301);
    for (std::size_t row = 0; row < csv.rows(); ++row)
        REQUIRE(csv.number(row, csv.column("iteration")) == 2. * static_cast<double>(row % 301));
}

TEST_CASE("l2o export --coco: every improvement of f - f_opt, a trial per start, and what it spent") {
    ScratchFolder folder;
    const std::string run = run_in(folder);
    CHECK(run_l2o(folder, "export " + run + " --coco coco --function 5").out == "coco: coco\n");
    const std::filesystem::path adam = folder / "coco/adam";
    const std::vector<std::string> info = lines_of(read_file(adam / "bbobexp_f5_DIM3.info"));
    REQUIRE(info.size() == 3);
    CHECK(info[0] ==
          "suite = 'bbob', funcId = 5, DIM = 3, Precision = 1.000e-08, algId = 'adam', coco_version = '', "
          "logger = 'bbob', data_format = 'bbob-new2'");
    CHECK(info[1] == "% written by 'l2o export'");
    CHECK(info[2].starts_with("data_f5/bbobexp_f5_DIM3.dat, 1:7|"));
    CHECK(std::ranges::count(info[2], '|') == 6);
    CHECK(contains(info[2], ", 3:7|"));
    const std::string dat = read_file(adam / "data_f5/bbobexp_f5_DIM3.dat");
    CHECK(dat == read_file(adam / "data_f5/bbobexp_f5_DIM3.tdat"));
    const std::vector<std::string> lines = lines_of(dat);
    CHECK(
        lines[0] ==
        "% f evaluations | g evaluations | best noise-free fitness - Fopt | measured fitness | best measured "
        "fitness | x1 | x2...");
    // The first value that is paid for is that of the start.
    REQUIRE(run_l2o(folder, "export " + run + " --csv rows.csv").code == 0);
    const CsvTable csv = CsvTable::read(folder / "rows.csv");
    const json results = json::parse(read_file(std::filesystem::path(run) / "results.json"));
    CHECK(results.at("dimension") == 3);
    REQUIRE(results.at("optima").size() == 3);
    const double start = csv.number(2 * kOfOne, csv.column("objective")),
                 optimum = results.at("optima")[0].get<double>();
    CHECK(lines[1].starts_with("1 0 +"));
    CHECK(std::stod(lines[1].substr(4)) == start - optimum);
    CHECK(std::filesystem::exists(folder / "coco/descent.learning_rate=0.01/bbobexp_f5_DIM3.info"));
}

TEST_CASE("l2o export --ioh: runs, their ends and their attributes, and a log of them") {
    ScratchFolder folder;
    const std::string run = run_in(folder);
    CHECK(run_l2o(folder, "export " + run + " --ioh ioh --suite l2o").code == 0);
    const std::filesystem::path adam = folder / "ioh/adam";
    const json head = json::parse(read_file(adam / "IOHprofiler_f1_quadratic_DIM3.json"));
    CHECK(head.at("suite") == "l2o");
    CHECK(head.at("function_name") == "quadratic");
    CHECK(head.at("algorithm") == json({{"name", "adam"}, {"info", "adam"}}));
    CHECK(contains(head.at("experiment_attributes").dump(), R"({"option.learning_rate":"0.1"})"));
    const json& scenario = head.at("scenarios").at(0);
    CHECK(scenario.at("dimension") == 3);
    REQUIRE(scenario.at("runs").size() == 6);
    CHECK(scenario.at("runs")[5].at("instance") == 3);
    CHECK(scenario.at("runs")[5].at("evals") == 7);
    const std::vector<std::string> lines = lines_of(read_file(adam / scenario.at("path").get<std::string>()));
    CHECK(std::ranges::count(lines, "evaluations raw_y") == 6);
    CHECK(lines[1].starts_with("1 "));
    const double best = scenario.at("runs")[5].at("best").at("y").get<double>();
    CHECK(std::stod(lines.back().substr(2)) == best);
}

TEST_CASE("l2o export --f-opt: the best of all contestants per instance, or a value") {
    ScratchFolder folder;
    const std::string run = run_in(folder);
    const auto ends = [&](const std::string& f_opt) {
        REQUIRE(run_l2o(folder, "export " + run + " --ioh " + f_opt + " --f-opt " + f_opt).code == 0);
        std::vector<double> least(3, INFINITY);
        for (const char* name : {"adam", "descent.learning_rate=0.01", "descent.learning_rate=0.05"}) {
            const json head = json::parse(
                read_file(folder / f_opt.c_str() / name / std::string("IOHprofiler_f1_quadratic_DIM3.json")));
            for (const json& one : head.at("scenarios")[0].at("runs")) {
                double& all = least[one.at("instance").get<std::size_t>() - 1];
                all = std::min(all, one.at("best").at("y").get<double>());
            }
        }
        return least;
    };
    CHECK(ends("best") == std::vector<double>{0, 0, 0});
    CHECK(ends("-1000")[0] > 999);
    CHECK(contains(run_l2o(folder, "export " + run + " --ioh above --f-opt 1e6").err,
                   "note: --f-opt 1e6 is no least f: a value lower by 1e+06 was paid for"));
    CHECK(!contains(run_l2o(folder, "export " + run + " --ioh below --f-opt -1000").err, "no least f"));
}

TEST_CASE("l2o export refuses what cannot be exported, and says what can be done") {
    ScratchFolder folder;
    const std::string run = run_in(folder);
    const auto refused = [&](const std::string& arguments) {
        return run_l2o(folder, "export " + arguments).refusal();
    };
    CHECK(contains(refused("--csv a"), "2 l2o: error: a run folder is missing"));
    CHECK(contains(
        refused(run),
        "2 l2o: error: there is nothing to write; expected --csv FILE, --coco FOLDER or --ioh FOLDER"));
    CHECK(contains(refused(run + " --csv a --f-opt 1"), "2 l2o: error: --f-opt is for --coco and --ioh"));
    CHECK(contains(refused(run + " --coco a --f-opt least"),
                   "2 l2o: error: --f-opt is 'least'; expected best, or a finite number"));
    CHECK(contains(refused(run + " --coco a --suite 'b b'"),
                   "2 l2o: error: --suite is 'b b'; expected letters, digits, - and _"));

    const std::filesystem::path copy = folder / "copy";
    const auto changed = [&](const char* file, const std::string& text) {
        std::filesystem::remove_all(copy);
        std::filesystem::copy(run, copy, std::filesystem::copy_options::recursive);
        if (text.empty())
            std::filesystem::remove(copy / file);
        else
            write_file_atomically(copy / file, text);
        return refused("copy --csv a");
    };
    CHECK(contains(changed("results.json", ""), "there is no results.json, so the run is not finished"));
    const char* adam = "checkpoints/adam.evaluation.safetensors";
    CHECK(contains(changed(adam, ""), "expected a run with 'evaluate { keep_rows true }'"));
    CHECK(contains(
        changed(adam,
                read_file(std::filesystem::path(run) /
                          "checkpoints/descent.learning_rate=0.01.evaluation.safetensors")),
        "adam.evaluation.safetensors: not what the results beside it came from; run the experiment again"));
    CHECK_FALSE(std::filesystem::exists(folder / "a"));

    const std::string other =
        run_in(folder, "optimizee.use=lasso optimizee.m=2 evaluate.metric=suboptimality");
    CHECK(contains(refused(other + " --coco a"), "the metric that counts is 'suboptimality'"));
    CHECK(run_l2o(folder, "export " + other + " --csv a").code == 0);
}

TEST_CASE("l2o export replaces what an export wrote, and nothing else") {
    ScratchFolder folder;
    const std::string run = run_in(folder);
    const std::string coco = "export " + run + " --coco out", info = "out/adam/bbobexp_f1_DIM3.info";
    for (const std::string& again : {coco, coco, coco + " --function 2"})
        CHECK(run_l2o(folder, again).code == 0);
    CHECK(contains(read_file(folder / "out/.l2o-export"), "adam/bbobexp_f1_DIM3.info\n"));
    CHECK(contains(read_file(folder / "out/.l2o-export"), "adam/bbobexp_f2_DIM3.info\n"));
    write_file_atomically(folder / info.c_str(), "mine");
    CHECK(contains(
        run_l2o(folder, coco).refusal(),
        "was changed since an export of l2o wrote it, so it is not replaced; move it away, or export "
        "elsewhere with --coco FOLDER"));
    CHECK(read_file(folder / info.c_str()) == "mine");

    write_file_atomically(folder / "notes.csv", "mine\n");
    CHECK(contains(run_l2o(folder, "export " + run + " --csv notes.csv").refusal(),
                   "2 l2o: error: --csv is 'notes.csv', which no export wrote, so it is not replaced"));
    for (int i = 0; i < 2; ++i) CHECK(run_l2o(folder, "export " + run + " --csv rows.csv").code == 0);
    const Outcome printed = run_l2o(folder, "export " + run + " --csv /dev/stdout");
    CHECK(printed.out == read_file(folder / "rows.csv"));
    const json told = json::parse(run_l2o(folder, coco + "2 --json").out);
    CHECK(told.at("coco") == "out2");
    CHECK(told.at("csv").is_null());
    CHECK(told.at("contestants") == 3);
}
