#include <iostream>

#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "host/console.hpp"
#include "host/experiment_line.hpp"

namespace l2o::host {
namespace {

namespace po = boost::program_options;
using namespace l2o::framework;

Usage usage() {
    Usage usage{
        .verb = "report",
        .synopsis = "RUN_FOLDER [RUN_FOLDER ...]",
        .text =
            "Writes report.html from the files of finished runs: results, differences from the reference,\n"
            "curves, performance profile, training, configuration and versions. The page needs no other\n"
            "file; figures/ beside it has every picture as SVG, PDF and PNG, with its numbers as CSV.\n"
            "Pictures are drawn by gnuplot; without it the page has only tables. If gnuplot fails, the exit\n"
            "code is 5.\n"
            "Runs of the same problem, seed, instances, starts and budget can be compared in one report.\n"
            "Nothing but an earlier report is replaced: .l2o-report lists the files that were written.\n",
        .examples =
            "  l2o report runs/sparse_recovery/20240131-120000-1a2b3c4d\n"
            "  l2o report runs/a/20240131-120000-1a2b3c4d runs/b/20240131-130000-5e6f7a8b --output both\n",
        .max_arguments = 1000};
    usage.options.add_options()("output",
                                po::value<std::string>()->value_name("FOLDER"),
                                "where to write, default: the run folder, if there is only one");
    return usage;
}

}  // namespace

ExitCode report(const Arguments& given) {
    const auto line = CommandLine::parse(usage(), given);
    if (!line) return ExitCode::kOk;
    if (line->arguments().empty()) throw line->refusal("a run folder is missing");
    if (line->arguments().size() > 1 && !line->has("output"))
        throw line->refusal("a report of several runs belongs to none of them; expected --output FOLDER");
    const ReportFile written =
        write_report({line->arguments().begin(), line->arguments().end()}, line->text("output"));
    if (!written.has_failed && !written.note.empty()) note(line->common(), written.note);
    for (const std::string& remark : written.remarks) note(line->common(), remark);
    const auto note_json = written.note.empty() ? nlohmann::json() : nlohmann::json(written.note);
    if (line->common().wants_json) {
        nlohmann::json told = to_json(written.results);
        told.update({{"report", written.page.string()}, {"note", note_json}, {"remarks", written.remarks}});
        if (written.has_failed) told["error"] = message(failure_of(written).what());
        print_json(told);
    } else {
        std::cout << "report: " << framework::one_line(written.page.string()) << "\n";
    }
    if (!written.has_failed) return ExitCode::kOk;
    throw failure_of(written);
}

}  // namespace l2o::host
