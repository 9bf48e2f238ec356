#include "framework/plugin/blas.hpp"

#include <dlfcn.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

/// OpenBLAS's own list of work spaces (driver/others/memory.c).
struct WorkSpaces {
    void* (*take)(int place) = nullptr;
    void (*give_back)(void*) = nullptr;
};

std::mutex mutex;
/// That OpenBLAS has work spaces for; 0: there is no OpenBLAS yet.
std::atomic<int> known_threads{0};

WorkSpaces find_work_spaces() {
    // Plugins are loaded apart: what one of them links is no global symbol.
    void* library = ::dlopen("libopenblas.so.0", RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) return {};
    WorkSpaces found{.take = reinterpret_cast<void* (*)(int)>(::dlsym(library, "blas_memory_alloc")),
                     .give_back = reinterpret_cast<void (*)(void*)>(::dlsym(library, "blas_memory_free"))};
    ::dlclose(library);  // the plugin holds it
    return found.give_back != nullptr ? found : WorkSpaces{};
}

/// Whether the system would map work spaces for more threads, and what the threads want for themselves.
bool can_map(int work_spaces, int threads) {
    // 128 MiB and the pages around them; a stack and a heap of glibc.
    constexpr std::size_t kWorkSpace = std::size_t{136} << 20, kThread = std::size_t{80} << 20;
    const std::size_t bytes =
        static_cast<std::size_t>(work_spaces) * kWorkSpace + static_cast<std::size_t>(threads) * kThread;
    void* probe =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) return false;
    ::munmap(probe, bytes);
    return true;
}

/// @return for how many there is work space now.
int take(const WorkSpaces& spaces, int threads) {
    const int known = known_threads;
    while (threads > known && !can_map(threads - known, threads - 1)) --threads;
    std::vector<void*> taken;  // all at a time: each is another one
    for (int i = 0; i < threads; ++i) taken.push_back(spaces.take(0));
    for (void* space : taken) spaces.give_back(space);
    known_threads = std::max(known, threads);
    return threads;
}

}  // namespace

void take_blas_work_space() {
    if (known_threads > 0) return;
    const std::lock_guard lock(mutex);
    const WorkSpaces spaces = find_work_spaces();
    if (spaces.take == nullptr || known_threads > 0 || take(spaces, 1) > 0) return;
    throw Error(ExitCode::kUsage,
                "out of memory: OpenBLAS, which the plugins multiply matrices with, needs 128 MiB of address "
                "space for itself; raise the limit ('ulimit -v')");
}

int blas_threads(int threads) {
    // Its list has places for more, but an end.
    constexpr int kMost = 128;
    if (known_threads == 0) return threads;
    threads = std::min(threads, kMost);
    if (threads <= known_threads) return threads;
    const std::lock_guard lock(mutex);
    return std::max(take(find_work_spaces(), threads), 1);
}

}  // namespace l2o::framework
