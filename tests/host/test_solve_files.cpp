#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "tests/host/command.hpp"
#include "tests/host/solve_problem.hpp"

using namespace l2o::framework;
using l2o::test::add_quadratic;
using l2o::test::contains;
using l2o::test::Outcome;
using l2o::test::Problem;
using l2o::test::run_l2o;
using l2o::test::small_quadratic;

TEST_CASE("a command line that lacks something says what") {
    CHECK(contains(run_l2o("solve --optimizer adam").refusal(),
                   "2 l2o: error: l2o solve: --problem is missing"));
    Problem problem = small_quadratic();
    CHECK(contains(problem.solve("").refusal(), "2 l2o: error: l2o solve: --optimizer is missing"));
    CHECK(contains(problem.solve("--optimizer gradient_decent").refusal(),
                   "2 l2o: error: unknown optimizer 'gradient_decent'; did you mean 'gradient_descent'?"));
    CHECK(contains(problem.solve("--optimizer gradient_descent --set rate").refusal(),
                   "2 l2o: error: --set is 'rate'; expected key=value"));
    CHECK(
        contains(problem.solve("--optimizer gradient_descent --set learning_rat=1").refusal(),
                 "optimizer 'gradient_descent' has no option 'learning_rat'; did you mean 'learning_rate'?"));
    CHECK(contains(problem.solve("--optimizer gradient_descent --set learning_rate=-1").refusal(),
                   "2 l2o: error: --set: optimizer.learning_rate is '-1'; expected a number > 0"));
    CHECK(
        contains(problem.solve("--optimizer gradient_descent --iterations -1").refusal(), "2 l2o: error: "));
}

TEST_CASE("files that cannot be read or written are exit code 5") {
    const ScratchFolder folder;
    CHECK(
        contains(run_l2o(folder, "solve --optimizer gradient_descent --problem none --output out").refusal(),
                 "5 l2o: error: none: "));
    Problem problem = small_quadratic();
    problem.solve("--optimizer gradient_descent");
    CHECK(contains(
        run_l2o(problem.folder, "solve --optimizer gradient_descent --problem p.safetensors --output no/out")
            .refusal(),
        "5 l2o: error: no"));
}

TEST_CASE("l2o solve: an output that is stdout is written through, alone, and the link to it stays") {
    Problem problem("quadratic");
    add_quadratic(problem);
    const std::string solve = "--optimizer gradient_descent --iterations 3 --output ";
    const Outcome plain = problem.solve("--optimizer gradient_descent --iterations 3");
    REQUIRE(plain.code == 0);
    const std::string want = read_file(problem.folder / "out.safetensors");
    std::filesystem::create_symlink("/proc/self/fd/1", problem.folder / "link");
    const Outcome through = run_l2o(problem.folder, "solve --problem p.safetensors " + solve + "link");
    CHECK(through.code == 0);
    CHECK(through.out == want);
    CHECK(contains(through.err, "gradient_descent on quadratic"));
    CHECK(std::filesystem::is_symlink(problem.folder / "link"));
    const Outcome quiet = run_l2o(problem.folder, "solve --quiet --problem p.safetensors " + solve + "link");
    CHECK(quiet.refusal() == "0 ");
    CHECK(quiet.out == want);
}

TEST_CASE("l2o solve: an output that cannot be written is refused before anything is read") {
    const ScratchFolder folder;
    CHECK(
        run_l2o(folder, "solve --optimizer gradient_descent --problem none --output no/x").refusal() ==
        "5 l2o: error: no/x: cannot create a temporary file beside it: No such file or directory; check that "
        "the folder exists and is writable\n");
    CHECK(folder.file_names().size() == 2);  // what the test itself keeps of the output
}

TEST_CASE("l2o solve: an output that is the problem itself, by whatever name, is refused and left alone") {
    Problem problem = small_quadratic();
    const std::string words = problem.written_for("--optimizer gradient_descent");
    const std::string before = read_file(problem.folder / "p.safetensors");
    std::filesystem::create_hard_link(problem.folder / "p.safetensors", problem.folder / "x");
    CHECK(run_l2o(problem.folder, words + " --output x").code == 2);
    const Outcome outcome =
        run_l2o(problem.folder,
                "solve --optimizer gradient_descent --problem p.safetensors --output ./p.safetensors");
    CHECK(outcome.refusal() ==
          "2 l2o: error: --output is './p.safetensors', which is p.safetensors itself, a file that is read; "
          "expected another name; see 'l2o solve --help'\n");
    CHECK(read_file(problem.folder / "p.safetensors") == before);
}

#ifndef __SANITIZE_ADDRESS__  // which needs terabytes of addresses
TEST_CASE(
    "l2o solve: a limit of memory that leaves nothing to BLAS is told, and fewer threads do with less") {
    Problem problem("lasso");
    problem.add("A", {20, 40});
    problem.add("b", {200, 20});
    // In KiB: 128 MiB are what OpenBLAS asks for, per thread.
    const auto solve = [&](const std::string& limit) {
        return problem.solve("--optimizer fista --iterations 3 --threads 64", "ulimit -v " + limit + " &&");
    };
    const Outcome none = solve("110000");
    CHECK(none.code == 2);
    CHECK(contains(none.err, "l2o: error: out of memory: "));
    CHECK(solve("600000").refusal() == "0 ");
}
#endif

TEST_CASE("l2o solve: in a working folder that was removed absolute paths work, and a relative one is told") {
    Problem problem("quadratic");
    add_quadratic(problem);
    REQUIRE(problem.solve("--optimizer gradient_descent").code == 0);
    const std::string here = (problem.folder / "").string(),
                      gone = "mkdir gone && cd gone && rmdir ../gone &&";
    const Outcome solved = run_l2o(problem.folder,
                                   "solve --optimizer gradient_descent --set learning_rate=0.1 --problem " +
                                       here + "p.safetensors --output " + here + "x",
                                   gone);
    CHECK(solved.refusal() == "0 ");
    CHECK(std::filesystem::exists(problem.folder / "x"));
    const Outcome relative =
        run_l2o(problem.folder,
                "solve --optimizer gradient_descent --problem p.safetensors --output " + here + "y",
                gone);
    CHECK(relative.refusal() ==
          "5 l2o: error: p.safetensors: cannot open: No such file or directory; check the path and its "
          "permissions\n");
}

TEST_CASE("l2o solve: a FIFO in place of a problem is refused and not waited for") {
    const ScratchFolder folder;
    const Outcome outcome =
        run_l2o(folder, "solve --optimizer gradient_descent --problem fifo --output x", "mkfifo fifo &&");
    CHECK(outcome.refusal() ==
          "5 l2o: error: fifo: is not a regular file; the file is damaged or is not safetensors\n");
}
