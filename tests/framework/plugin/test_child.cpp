#include <doctest/doctest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "framework/plugin/child.hpp"

using namespace l2o::framework;

namespace {

/// Until the process has computed for so long since it began.
void compute_for(double seconds) {
    timespec time{};
    do {
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    } while (static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec) < seconds);
}

std::string end_of(double limit_s, const std::function<void(const Send&)>& body) {
    return run_in_child(
        body, [](const std::string&) {}, limit_s);
}

/// Processes that compute on the processor of the test, which is alone on it with them.
class Rivals {
  public:
    explicit Rivals(int count) {
        ::sched_getaffinity(0, sizeof before_, &before_);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
        ::sched_setaffinity(0, sizeof one, &one);
        for (int i = 0; i < count; ++i) {
            const pid_t pid = ::fork();
            if (pid == 0) {
                compute_for(60);
                ::_exit(0);
            }
            pids_.push_back(pid);
        }
    }
    Rivals(const Rivals&) = delete;
    Rivals& operator=(const Rivals&) = delete;
    ~Rivals() {
        for (const pid_t pid : pids_) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
        ::sched_setaffinity(0, sizeof before_, &before_);
    }

  private:
    cpu_set_t before_{};
    std::vector<pid_t> pids_;
};

}  // namespace

TEST_CASE("child: one that waits, or computes, for longer than its limit is killed") {
    CHECK(end_of(0.2, [](const Send&) { ::pause(); }) == "did not come back within 0.2 s");
    CHECK(end_of(0.2, [](const Send&) { compute_for(60); }) == "did not come back within 0.2 s");
    CHECK(end_of(5, [](const Send&) { compute_for(0.05); }).empty());
}

TEST_CASE("child: the limit is of its own time, not of what others take from it") {
    const Rivals rivals(4);
    CHECK(end_of(0.4, [](const Send&) { compute_for(0.25); }).empty());
    CHECK(end_of(0.4, [](const Send&) { compute_for(60); }) == "did not come back within 0.4 s");
}

TEST_CASE("child: every line is a sign of life, for whoever waits above it, too") {
    // All of them together take longer than either limit, none of them as long.
    const auto speak = [](const Send& send) {
        for (int i = 1; i <= 14; ++i) {
            compute_for(0.1 * i);
            send("line");
        }
    };
    CHECK(end_of(0.5, speak).empty());
    std::string below = "not run";
    CHECK(run_in_child([&](const Send& send) { send(end_of(0.5, speak)); },
                       [&](const std::string& line) { below = line; },
                       1)
              .empty());
    CHECK(below.empty());
}
