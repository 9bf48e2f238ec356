#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/experiment/run.hpp"
#include "framework/report/report.hpp"
#include "host/command.hpp"

namespace l2o::host {

/// Options of the verbs that take an experiment file.
void add_experiment_options(Usage& usage);

/// The option --resume FOLDER.
void add_resume_option(Usage& usage);

/// The words of such a command line, sorted: "file [names ...] [key.path=value ...]".
struct ExperimentLine {
    std::string file;                   ///< "" if there is none
    std::vector<std::string> names;     ///< words after it that set nothing
    std::vector<std::string> settings;  ///< of the words, then of --set
};
ExperimentLine sort_words(const CommandLine& line);

/// Reads the configuration of the experiment. @throw Error kUsage if no file was given.
framework::Config load_config(const CommandLine& line, const ExperimentLine& words);

/// The files that a configuration was read from.
std::vector<std::filesystem::path> sources_of(const framework::ConfigNode& configuration);

/// Reads the experiment. @throw Error kUsage if no file was given.
framework::Experiment load_experiment(const CommandLine& line,
                                      const framework::Catalog& catalog,
                                      const ExperimentLine& words);

/// What the folder of --resume was made for. @throw Error kUsage for words and options that it leaves no room
/// for.
framework::ResumedRun resumed(const CommandLine& line,
                              const framework::Catalog& catalog,
                              const ExperimentLine& words);

/// Fails with did-you-mean if there is no such contestant.
void check_contestant(const CommandLine& line,
                      const std::vector<std::string>& known,
                      const std::string& name);

/// Runs a part of it with progress on stderr.
/// @param names  the contestants that the command line named, for the command that goes on
framework::RunResult run_part(const CommandLine& line,
                              const framework::Experiment& experiment,
                              framework::RunPart part,
                              const std::vector<std::string>& names = {});

/// Of a report without the pictures that it should have.
framework::Error failure_of(const framework::ReportFile& written);

/// The table or JSON document at the end of a run, and report.html unless --no-report.
/// @throw Error kNumerical if nothing was evaluated to a finite value, or a training diverged; that of a
/// report that could not be written, or not whole.
framework::ExitCode report(const CommandLine& line,
                           const framework::Experiment& experiment,
                           const framework::RunResult& result);

}  // namespace l2o::host
