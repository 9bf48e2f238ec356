#include "tests/framework/report/finished_run.hpp"

#include <fstream>
#include <utility>

#include "framework/config/info_file.hpp"
#include "framework/evaluate/results.hpp"

namespace l2o::test {

using namespace l2o::framework;
namespace fs = std::filesystem;

fs::path finished_run(const ScratchFolder& folder,
                      const char* name,
                      const std::vector<Curve>& curves,
                      const std::string& seed,
                      const std::set<std::string>& ratios,
                      const Judging& judging,
                      const std::string& evaluate) {
    const fs::path run = folder / name;
    fs::create_directories(run);
    Results results{judging, curves};
    results.judging.ratios = ratios;
    results.judging.reference = curves.front().contestant;
    ConfigNode contestants{.key = "contestants"};
    for (const Curve& curve : curves) contestants.children.push_back({.key = curve.contestant});
    ConfigNode root;
    root.children.push_back(std::move(contestants));
    std::ofstream(run / "config.info")
        << "name \"a <b> & c\"\nseed " << seed << "\noptimizee { use quadratic }\nevaluate { instances "
        << curves.front().final_rows[0].size() << "\n iterations " << curves.front().iteration.back()
        << evaluate << " }\n"
        << to_info(root);
    std::ofstream(run / "environment.json") << R"({"l2o_version": "1.2.3", "cpu": {"threads": 2}})";
    std::ofstream(run / "metrics.jsonl")
        << "{\"contestant\": \"a\", \"loss\": 2}\n{\"contestant\": \"a\", \"lo";
    write_curves(run / "curves.csv", curves);
    write_finals(run / "finals.csv", results);
    write_results(run / "results.json", results);
    return run;
}

void write_results_again(const fs::path& run) { write_results(run / "results.json", read_results(run, 32)); }

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

}  // namespace l2o::test
