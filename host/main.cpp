#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "framework/float_control.hpp"
#include "framework/plugin/call.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/store/file_handle.hpp"
#include "framework/store/system_failure.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "host/command.hpp"
#include "host/console.hpp"
#include "host/signals.hpp"

namespace {

using l2o::framework::Error, l2o::framework::ExitCode;
using l2o::host::Arguments;

struct Verb {
    const char* name;
    const char* summary;
    ExitCode (*call)(const Arguments&);
};
constexpr Verb kVerbs[] = {
    {"run", "train and compare the contestants of an experiment file", &l2o::host::run},
    {"train", "train one contestant of an experiment file and keep its weights", &l2o::host::train},
    {"evaluate", "compare the contestants of an experiment file with given weights", &l2o::host::evaluate},
    {"report", "write a page with tables and figures from finished runs", &l2o::host::report},
    {"export",
     "write what every start of a finished run did, as CSV, for COCO or IOHanalyzer",
     &l2o::host::export_run},
    {"solve", "solve problems from a file with one optimizer", &l2o::host::solve},
    {"list", "list the plugins that are installed", &l2o::host::list},
    {"describe",
     "show the options of a plugin, or the settings of train, evaluate, safeguard, sweep, tune",
     &l2o::host::describe},
    {"check", "check that a plugin library keeps the contract", &l2o::host::check},
};

void print_help() {
    std::ostringstream text;
    text << "l2o " L2O_VERSION
            " - learning to optimize: train optimizers, compare them fairly, solve with them\n\n"
            "Optimizers, families of problems (\"optimizees\") and meta-losses are plugins. An experiment\n"
            "file names some of each; l2o trains the learned optimizers, then compares all of them on the\n"
            "same instances, starting points and budgets.\n\n"
            "Usage: l2o <verb> [arguments] [options]\n\nVerbs:\n";
    for (const Verb& verb : kVerbs) {
        text << "  " << verb.name << std::string(10 - std::string(verb.name).size(), ' ') << verb.summary
             << "\n";
    }
    text << "\nl2o <verb> --help explains a verb, its options and their defaults; l2o --version.\n"
            "\nExamples:\n"
            "  l2o list optimizers                                  which plugins there are\n"
            "  l2o run examples/experiments/sparse_recovery.info    train LISTA, compare it with FISTA\n"
            "  l2o solve --optimizer adam --set learning_rate=0.1 --problem p.safetensors \\\n"
            "      --output x.safetensors --iterations 200          solve your own problems\n"
            "\nOptions of every verb:\n"
            "  --plugin-path FOLDER  --threads N  --seed N  --json  --quiet  --help\n"
            "\nExit codes:\n"
            "  0    ok\n"
            "  1    internal error: please report it\n"
            "  2    the command line, an experiment file or a problem file is wrong, or asks for more\n"
            "       memory than there is\n"
            "  3    a plugin cannot be loaded, refuses the combination, or fails a check\n"
            "  4    numerical failure: every trajectory diverged, or a training cannot go on or has\n"
            "       ruined its parameters\n"
            "  5    a file cannot be read or written\n"
            "  130  interrupted; what is finished is kept, and a message says how to resume\n"
            "\nEnvironment:\n"
            "  L2O_PLUGIN_PATH  folders with plugins, separated by ':'; searched after --plugin-path\n"
            "  XDG_DATA_HOME    its l2o/plugins is searched next (default ~/.local/share), and last\n"
            "                   ../lib/l2o/plugins beside the program\n";
    std::cout << l2o::framework::folded(text.str(), l2o::host::stdout_columns());
}

ExitCode dispatch(const Arguments& given) {
    if (given.empty() || given[0] == "--help" || given[0] == "-h" || given[0] == "help") {
        print_help();
        return given.empty() ? ExitCode::kUsage : ExitCode::kOk;
    }
    if (given[0] == "--version") {
        std::cout << "l2o " L2O_VERSION "\n";
        return ExitCode::kOk;
    }
    const Arguments words = l2o::host::verb_first(given);
    std::vector<std::string> known;
    for (const Verb& verb : kVerbs) {
        // What l2o check looks at is left as plugins make it.
        if (words[0] == verb.name && verb.call != &l2o::host::check) l2o::framework::ProcessWatch::enable();
        if (words[0] == verb.name) return verb.call({words.begin() + 1, words.end()});
        known.emplace_back(verb.name);
    }
    throw Error(ExitCode::kUsage,
                "unknown verb '" + words[0] + "'" + l2o::framework::did_you_mean(words[0], known) +
                    "; see 'l2o --help'");
}

bool is_given(const Arguments& given, const char* option) {
    const auto end = std::find(given.begin(), given.end(), "--");
    return std::find(given.begin(), end, option) != end;
}

/// Notes of what plugins did to this process.
void tell_of_changes(const Arguments& given) {
    for (const std::string& text : l2o::framework::take_process_notes()) {
        if (!is_given(given, "--quiet")) std::cerr << "l2o: note: " << l2o::host::message(text) << "\n";
    }
}

int failed(const std::string& text, ExitCode code, bool wants_json) {
    const std::string line = l2o::host::message(text);
    if (wants_json && !l2o::host::has_printed_json()) l2o::host::print_json({{"error", line}});
    std::cout.flush();
    std::cerr << "l2o: error: " << line << "\n";
    return static_cast<int>(code);
}

/// Before any plugin is loaded. Shards run in parallel, BLAS inside them does not: how it cuts a sum, and so
/// the bits of the result, would depend on the environment. A library that was preloaded has read it already:
/// the program starts again with the right one.
void single_threaded_blas(char** argv) {
    constexpr const char* kRestarted = "L2O_RESTARTED";
    bool is_changed = false;
    for (const char* name :
         {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"}) {
        const char* value = std::getenv(name);
        is_changed = is_changed || value == nullptr || std::strcmp(value, "1") != 0;
        ::setenv(name, "1", 1);
    }
    ::setenv(
        "OMP_WAIT_POLICY", "passive", 0);  // spinning OpenMP threads would take the cores from the shards
    const bool is_preloaded = ::dlsym(RTLD_DEFAULT, "cblas_sgemm") != nullptr ||
                              ::dlsym(RTLD_DEFAULT, "sgemm_") != nullptr ||
                              ::dlsym(RTLD_DEFAULT, "omp_get_max_threads") != nullptr;
    const bool is_second = std::getenv(kRestarted) != nullptr;
    ::unsetenv(kRestarted);
    if (!is_changed || !is_preloaded || is_second) return;
    ::setenv(kRestarted, "1", 1);
    ::execv("/proc/self/exe", argv);
    ::unsetenv(kRestarted);
}

int run(const Arguments& given) {
    constexpr int kInternalError = 1;
    const bool wants_json = is_given(given, "--json");
    try {
        const ExitCode code = dispatch(given);
        std::cout.flush();
        if (!std::cout) l2o::host::end_if_unread();
        if (!std::cout) return failed("stdout cannot be written", ExitCode::kIo, false);
        return static_cast<int>(code);
    } catch (const Error& error) {
        return failed(error.what(), error.code(), wants_json);
    } catch (const l2o::framework::Diverged& diverged) {
        return failed("a plugin gave up: " + diverged.text, ExitCode::kNumerical, wants_json);
    } catch (const std::exception& error) {
        if (const auto failure = l2o::framework::system_failure(error))
            return failed(failure->what(), failure->code(), wants_json);
        failed(std::string("internal error: ") + error.what(), ExitCode::kOk, wants_json);
        return kInternalError;
    }
}

}  // namespace

int main(int argc, char** argv) {
    l2o::framework::reserve_standard_streams();
    l2o::framework::kStandardFloat.set();
    single_threaded_blas(argv);
    l2o::host::stop_on_signals();
    l2o::host::outlive_readers();
    l2o::host::tell_of_crashes();
    const Arguments given(argv + 1, argv + argc);
    const bool wants_json = is_given(given, "--json");
    l2o::host::tell_of_ends(wants_json);
    if (wants_json) l2o::host::keep_stdout();
    const l2o::host::PrintableStreams streams;
    const int code = run(given);
    tell_of_changes(given);
    l2o::host::leave();
    return code;
}
