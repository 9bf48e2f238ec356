#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "framework/float_control.hpp"
#include "framework/plugin/blas.hpp"

namespace l2o::framework {

/// Bytes to be passed over, which take longer than threads to start.
inline constexpr std::int64_t kWorthThreads = 1 << 20;

/// Whoever works side by side: threads. Work is cut the same whatever their number, and what comes of it is
/// put together in the order of its parts, so that there are the same bits for any team.
class Team {
  public:
    explicit Team(int threads) : threads_(threads) {}

    /// Runs body(i) for i in [0, n) on up to as many threads, on fewer if the system gives no more. Once a
    /// body has thrown no other is begun; what it threw is thrown again when those under way are done, of the
    /// smallest i. Computes as kStandardFloat says.
    template <class Body>
    void each(std::int64_t n, Body&& body) const {
        std::exception_ptr failure;  // one alone: where memory is short there is no room for many
        std::int64_t failed = n;
        std::mutex mutex;
        std::atomic<std::int64_t> next{0};
        const auto work = [&] {
            for (std::int64_t i = next++; i < n; i = next++) {
                try {
                    const StandardFloat standard;  // of every i: no body leaves its own to the next
                    body(i);
                } catch (...) {
                    next = n;
                    const std::lock_guard lock(mutex);
                    if (i < failed) failure = std::current_exception();
                    failed = std::min(failed, i);
                }
            }
        };
        {
            std::vector<std::jthread> helpers;
            try {
                const auto wanted = static_cast<int>(std::min<std::int64_t>(threads_, n));
                for (int k = 1, most = blas_threads(wanted); k < most; ++k) helpers.emplace_back(work);
            } catch (const std::system_error&) {
                // A limit of processes or of memory: those that started do it all.
            }
            work();
        }
        if (failure) std::rethrow_exception(failure);
    }

  private:
    int threads_;
};

}  // namespace l2o::framework
