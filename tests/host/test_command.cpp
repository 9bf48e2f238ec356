#include <doctest/doctest.h>

#include <string>

#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::test::contains, l2o::test::run_l2o, l2o::test::Outcome;

TEST_CASE("l2o --help names every verb, every exit code and the environment variable") {
    const Outcome help = run_l2o("--help");
    CHECK(help.code == 0);
    CHECK(help.err == "");
    for (const char* part : {"run",
                             "train",
                             "evaluate",
                             "report",
                             "export",
                             "solve",
                             "list",
                             "describe",
                             "check",
                             "Examples",
                             "130",
                             "L2O_PLUGIN_PATH",
                             "--threads",
                             "\n  4 "}) {
        CAPTURE(part);
        CHECK(contains(help.out, part));
    }
}

TEST_CASE("every verb explains itself with its options and an example") {
    for (const std::string verb :
         {"run", "train", "evaluate", "report", "export", "solve", "list", "describe", "check"}) {
        CAPTURE(verb);
        const Outcome help = run_l2o(verb + " --help");
        CHECK(help.code == 0);
        CHECK(contains(help.out, "Usage: l2o " + verb));
        CHECK(contains(help.out, "Examples:\n  l2o " + verb));
        CHECK(contains(help.out, "--plugin-path"));
    }
}

TEST_CASE("without a verb the help is shown and the exit code is 2") {
    const Outcome nothing = run_l2o("");
    CHECK(nothing.code == 2);
    CHECK(contains(nothing.out, "Usage: l2o <verb>"));
}

TEST_CASE("l2o --version is one line") { CHECK(run_l2o("--version").out == "l2o " L2O_VERSION "\n"); }

TEST_CASE("a mistyped verb is refused with the one that was meant") {
    CHECK(contains(run_l2o("slove").refusal(), "2 l2o: error: unknown verb 'slove'; did you mean 'solve'?"));
}

TEST_CASE("a mistyped option is refused with the one that was meant") {
    CHECK(contains(run_l2o("solve --optimiser adam").refusal(),
                   "2 l2o: error: unknown option '--optimiser' of l2o solve; did you mean '--optimizer'?"));
}

TEST_CASE("an option cannot be abbreviated") {
    CHECK(contains(run_l2o("list --js").refusal(), "2 l2o: error: unknown option '--js'"));
}

TEST_CASE("a word too many is refused") {
    CHECK(contains(run_l2o("describe adam fista").refusal(),
                   "2 l2o: error: l2o describe: 'fista' is one word too many"));
}

TEST_CASE("--threads is a whole number from 1") {
    CHECK(contains(run_l2o("list --threads 0").refusal(),
                   "2 l2o: error: --threads is '0'; expected a whole number in [1, "));
    CHECK(contains(run_l2o("list --threads two").refusal(), "2 l2o: error: --threads is 'two'"));
}

TEST_CASE("--seed is a whole number from 0") {
    CHECK(contains(run_l2o("list --seed x").refusal(),
                   "2 l2o: error: --seed is 'x'; expected a whole number >= 0;"));
    CHECK(contains(run_l2o("list --seed 99999999999999999999").refusal(),
                   "2 l2o: error: --seed is '99999999999999999999'; expected a whole number >= 0 and at most "
                   "9223372036854775807;"));
}

TEST_CASE("a folder of plugins that is none is refused") {
    CHECK(contains(run_l2o("list --plugin-path /nowhere").refusal(),
                   "2 l2o: error: --plugin-path is '/nowhere', which is no folder"));
}

TEST_CASE("options of every verb may stand before the verb") {
    const Outcome before = run_l2o("--json --seed 3 list losses"), after = run_l2o("list losses --json");
    CHECK(before.code == 0);
    CHECK(before.out == after.out);
}

TEST_CASE("under --json stdout is one document also of what fails: the sentence of stderr, as 'error'") {
    for (const char* arguments : {"lisst",
                                  "run nowhere.info",
                                  "evaluate --frobnicate",
                                  "report nowhere",
                                  "export nowhere",
                                  "solve --optimizer adam",
                                  "describe nothing_near",
                                  "check nowhere.so",
                                  "list --plugin-path /nowhere"}) {
        CAPTURE(arguments);
        const Outcome plain = run_l2o(arguments), told = run_l2o(std::string(arguments) + " --json");
        CHECK(plain.code > 1);
        CHECK(told.code == plain.code);
        CHECK(told.err == plain.err);
        const nlohmann::json document = nlohmann::json::parse(told.out);
        CHECK("l2o: error: " + document.at("error").get<std::string>() + "\n" == told.err);
        CHECK(document.size() == 1);
    }
}

TEST_CASE("a stdout that cannot be written is exit code 5") {
    const ScratchFolder folder;
    CHECK(::system((std::string(L2O_PROGRAM " --help >/dev/full 2>") + (folder / "err").string()).c_str()) ==
          5 * 256);
}
