#include <fmt/core.h>

#include <iostream>
#include <map>

#include "framework/check/conformance.hpp"
#include "framework/config/value_text.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "host/command.hpp"
#include "host/console.hpp"

namespace l2o::host {
namespace {

using framework::Finding, framework::Verdict;

Usage usage() {
    namespace po = boost::program_options;
    Usage usage{
        .verb = "check",
        .synopsis = "FILE.so",
        .text =
            "Checks that a plugin library keeps the contract of the SDK, and prints a line per check. Every\n"
            "check runs in a separate process with a time limit; a crash or a hang is a failed check. The\n"
            "exit code is 3 if a check fails.\n\n"
            "An optimizer or a loss is checked on an optimizee of the plugin path that suits it, the first\n"
            "of those that answer most; with --optimizee all, or --thorough, on every one that does, and the "
            "others are listed. Large\n"
            "default sizes of a problem are reduced; 'creates' says which.\n\n"
            "--fuzz N repeats the checks in N random cases: an optimizee that suits, options of both that\n"
            "are not given, element type, rows, iterations, points and cotangents are drawn. A failure\n"
            "shows the command that repeats its case.\n",
        .examples =
            "  l2o check my-plugins/l2o_optimizer_mine.so\n"
            "  l2o check l2o_optimizer_mine.so --only vjp --only resume --set layers=4\n"
            "  l2o check l2o_optimizer_mine.so --optimizee quadratic --json\n"
            "  l2o check l2o_optimizer_mine.so --optimizee all --optimizee-set lasso.n=20\n"
            "  l2o check l2o_optimizer_mine.so --fuzz 1000 --seed 7\n",
        .max_arguments = 1};
    usage.options.add_options()  //
        ("only",
         po::value<std::vector<std::string>>()->composing()->value_name("NAME"),
         "run only this check; may be given again")  //
        ("component",
         po::value<std::vector<std::string>>()->composing()->value_name("ID"),
         "check only this component of the library; may be given again")  //
        ("thorough",
         "also run checks that take thousands of calls, long runs or large batches; on all optimizees")  //
        ("fuzz",
         po::value<std::string>()->value_name("N"),
         "check N cases drawn from --seed: options, optimizees, sizes, points")             //
        ("case", po::value<std::string>()->value_name("I"), "check only this one of them")  //
        ("set",
         po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
         "an option of the plugin")  //
        ("optimizee",
         po::value<std::string>()->value_name("ID"),
         "the optimizee to check an optimizer or a loss on, or 'all'")  //
        ("optimizee-set",
         po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
         "an option of that optimizee; with --optimizee all, ID.KEY=VALUE")  //
        ("time-limit",
         po::value<std::string>()->value_name("SECONDS"),
         "that each check may compute, or wait, default 60, or 600 with --thorough or --fuzz");
    return usage;
}

void print(const Finding& finding, std::string& component) {
    const std::string title =
        finding.component + (finding.optimizee.empty() ? "" : ", on " + finding.optimizee);
    if (title != component) std::cout << title << "\n";
    component = title;
    std::string text = fmt::format("  {:<7}  {:<14}", name_of(finding.verdict), finding.check);
    if (!finding.text.empty()) text += " " + framework::one_line(finding.text);
    text.erase(text.find_last_not_of(' ') + 1);
    std::cout << text << "\n";
    if (finding.verdict == Verdict::kFailed)
        std::cout << fmt::format("  {:<7}  {:<14} rule: {}\n", "", "", finding.rule);
    if (!finding.repeat.empty())
        std::cout << fmt::format("  {:<7}  {:<14} repeat: {}\n", "", "", finding.repeat);
    std::cout << std::flush;
}

}  // namespace

framework::ExitCode check(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return framework::ExitCode::kOk;
    if (line->arguments().empty()) throw line->refusal("l2o check: the file of a plugin library is missing");
    framework::Conformance conformance;
    conformance.library = line->arguments()[0];
    conformance.components = line->texts("component");
    conformance.only = line->texts("only");
    conformance.thorough = line->has("thorough");
    conformance.settings = given_settings(*line, "set");
    conformance.optimizee = line->text("optimizee");
    conformance.optimizee_settings = given_settings(*line, "optimizee-set");
    if (const auto limit = line->integer("time-limit", 1, 1'000'000))
        conformance.time_limit_s = static_cast<double>(*limit);

    if (const auto cases = line->integer("fuzz", 1))
        conformance.fuzz.cases = static_cast<std::uint64_t>(*cases);
    if (const auto index = line->integer("case", 0))
        conformance.fuzz.only = static_cast<std::uint64_t>(*index);
    conformance.fuzz.seed = line->common().seed.value_or(0);
    for (const auto& folder : line->common().plugin_folders)
        conformance.command_tail += " --plugin-path " + framework::shell_word(folder.string());

    (void)line->common().catalog();  // refuses a --plugin-path that is none
    const bool wants_json = line->common().wants_json;
    std::string component;
    std::map<Verdict, int> count;
    nlohmann::json all = nlohmann::json::array();
    framework::check_library(conformance,
                             framework::plugin_search_path(line->common().plugin_folders),
                             [&](const Finding& finding) {
                                 ++count[finding.verdict];
                                 if (wants_json) {
                                     all.push_back(to_json(finding));
                                 } else {
                                     print(finding, component);
                                 }
                             });
    if (wants_json) {
        print_json(all);
    } else {
        std::cout << fmt::format("{} ok, {} failed, {} skipped\n",
                                 count[Verdict::kOk],
                                 count[Verdict::kFailed],
                                 count[Verdict::kSkipped]);
    }
    return count[Verdict::kFailed] > 0 ? framework::ExitCode::kPlugin : framework::ExitCode::kOk;
}

}  // namespace l2o::host
