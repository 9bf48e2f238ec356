// A training that is killed by SIGKILL again and again. By hand, for longer: L2O_KILLS=200 L2O_SEED=7.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <thread>

#include "framework/store/safetensors.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;
using Clock = std::chrono::steady_clock;

Trainee make() {
    Trainee trainee({.optimizer = "l2o_dm", .options = {{"hidden", "4"}}});
    TrainSettings& settings = trainee.settings();
    settings.epochs = 60;
    settings.horizon = 25;
    settings.unroll = 10;
    settings.batch = 5;
    settings.shard_rows = 2;
    settings.validate_every = 4;
    settings.validate_instances = 3;
    settings.checkpoint_every_s = 0.005;
    return trainee;
}

/// Trains in a process of its own, which writes its result to `weights` and ends with 0.
pid_t start(const ScratchFolder& folder) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    try {
        Trainee trainee = make();
        // At least 2 ms a window, so that there is time to be killed in on a fast machine.
        const auto wait = [](const Progress&) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
        const TrainResult result = trainee.train(
            {.checkpoint = folder / "state", .metrics = folder / "metrics", .resume = true}, 2, wait);
        TensorRefs tensors;
        for (std::size_t i = 0; i < result.params.size(); ++i)
            tensors[trainee.optimizer().params()[i]->name] = &result.params[i];
        write_safetensors(folder / "weights", tensors, {});
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        ::_exit(1);
    }
    ::_exit(0);
}

/// How a process ended: 0, its exit code, or 256 + the signal that killed it.
int end_of(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::int64_t number_from(const char* variable, std::int64_t absent) {
    const char* text = std::getenv(variable);
    return text == nullptr ? absent : std::atoll(text);
}

/// Every file with a name that is not a temporary one can be read; returns the number of temporary ones.
int check_files(const ScratchFolder& folder) {
    int temporary = 0;
    for (const std::string& name : folder.file_names()) {
        CAPTURE(name);
        if (name.starts_with(".")) {
            CHECK(name.find(".tmp.") != std::string::npos);
            ++temporary;
        } else if (name == "metrics") {
            CHECK_NOTHROW(records(folder / "metrics"));
        } else {
            CHECK((name == "state" || name == "weights"));
            CHECK_NOTHROW(read_safetensors(folder / name.c_str()));
        }
    }
    return temporary;
}

}  // namespace

TEST_CASE(
    "a training killed at random moments and resumed writes the same weights, and only readable files") {
    const ScratchFolder whole, killed;
    const auto began = Clock::now();
    REQUIRE(end_of(start(whole)) == 0);
    const std::chrono::duration<double> duration = Clock::now() - began;

    const std::int64_t kills = number_from("L2O_KILLS", 10);
    const std::int64_t seed = number_from("L2O_SEED", std::random_device()());
    MESSAGE("seed " << seed << ", " << kills << " kills; a whole training takes " << duration.count()
                    << " s");
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    // Half of it is killed away on average, if checkpoints keep what was done before.
    std::uniform_real_distribution<double> lifetime(0, duration.count() / static_cast<double>(kills));
    int temporary = 0;
    std::int64_t done_kills = 0, positions = 0;
    std::string last_state;
    for (; done_kills < kills; ++done_kills) {
        const pid_t child = start(killed);
        std::this_thread::sleep_for(std::chrono::duration<double>(lifetime(random)));
        ::kill(child, SIGKILL);
        const int end = end_of(child);
        temporary = check_files(killed);
        if (end == 0) break;
        REQUIRE(end == 256 + SIGKILL);
        if (std::filesystem::exists(killed / "state")) {
            const std::string state = read_safetensors(killed / "state").metadata.at("l2o.checkpoint");
            positions += state != last_state ? 1 : 0;
            last_state = state;
        }
    }
    MESSAGE(done_kills << " kills hit, at " << positions << " different checkpoints; they left " << temporary
                       << " temporary files");
    CHECK(positions > 0);
    REQUIRE(end_of(start(killed)) == 0);
    check_files(killed);

    const TensorFile want = read_safetensors(whole / "weights"), got = read_safetensors(killed / "weights");
    REQUIRE(got.tensors.size() == want.tensors.size());
    for (const auto& [name, tensor] : want.tensors) CHECK(bytes(got.at(name)) == bytes(tensor));
    CHECK(records(killed / "metrics") == records(whole / "metrics"));
}
