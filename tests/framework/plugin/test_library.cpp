#include <dlfcn.h>
#include <doctest/doctest.h>
#include <xmmintrin.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "framework/error.hpp"
#include "framework/plugin/library.hpp"
#include "framework/plugin/optimizer.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::framework;

const std::filesystem::path kFolder = L2O_TEST_LIBRARIES;

/// What loading a library is refused with.
std::string refusal(const std::filesystem::path& library) {
    try {
        static_cast<void>(load_library(library));
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::kPlugin);
        return error.what();
    }
    return "";
}
bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

Catalog::Entry entry_of(const Library& library, std::size_t component) {
    return {library.description.components.at(component),
            std::make_shared<const PluginDescription>(library.description)};
}

}  // namespace

TEST_CASE("a library written in C is loaded and described") {
    const Library& library = load_library(kFolder / "sound.so");
    CHECK(library.description.id == "c_library");
    CHECK(library.description.abi_major == L2O_ABI_MAJOR);
    REQUIRE(library.components.size() == 2);
    CHECK(library.description.components[0].kind == Kind::kLoss);
    CHECK(library.description.components[1].id == "c_optimizer");
    CHECK(library.description.components[1].options.empty());
}

TEST_CASE("a library is loaded once, whatever path leads to it") {
    const Library& library = load_library(kFolder / "sound.so");
    CHECK(&load_library(kFolder / ".." / "libraries" / "sound.so") == &library);
}

TEST_CASE("another major ABI is refused with both versions and what to do") {
    const std::string path = (kFolder / "other_major.so").string();
    CHECK(refusal(path) == "plugin '" + path +
                               "': built for ABI 2.0 and requires minor 0, this host has ABI 1.0; rebuild it "
                               "against this SDK, or update l2o");
}

TEST_CASE("a required minor that this host does not have is refused with both versions and what to do") {
    const std::string path = (kFolder / "newer_minor.so").string();
    CHECK(refusal(path) == "plugin '" + path +
                               "': built for ABI 1.0 and requires minor 7, this host has ABI 1.0; rebuild it "
                               "against this SDK, or update l2o");
}

TEST_CASE("a library without the entry symbol is refused by the symbol's name") {
    const std::string path = (kFolder / "no_entry.so").string();
    CHECK(refusal(path) == "plugin '" + path +
                               "': has no symbol 'l2o_plugin_entry_v1': not an l2o plugin, or built for "
                               "another major ABI");
}

TEST_CASE("an entry that returns something else than a plugin table is refused") {
    CHECK(contains(refusal(kFolder / "no_magic.so"), "its entry returned no l2o plugin table"));
}

TEST_CASE("a table that ends before a mandatory function leaves it NULL, and is refused by the component") {
    CHECK(
        contains(refusal(kFolder / "short_table.so"), "component 'c_loss' leaves a mandatory function NULL"));
}

TEST_CASE("a file that is no library, and one that is missing, are refused by name") {
    const ScratchFolder folder;
    std::ofstream(folder / "text.so") << "not a library\n";
    CHECK(contains(refusal(folder / "text.so"),
                   "plugin '" + (folder / "text.so").string() + "': cannot be loaded: "));
    CHECK(contains(refusal(folder / "missing.so"), "cannot be loaded: "));
}

TEST_CASE("a library that was refused is refused again, with the same words") {
    const std::string first = refusal(kFolder / "no_magic.so");
    CHECK(first == refusal(kFolder / "no_magic.so"));
    CHECK_FALSE(first.empty());
}

TEST_CASE("a library linked with -ffast-math does not switch off denormal numbers in the host") {
    const unsigned int before = _mm_getcsr();
    const Library& library = load_library(kFolder / "fast_math.so");
    CHECK(_mm_getcsr() == before);
    CHECK(library.description.id == "c_library");
    // It does so if nobody looks after it: a second copy of the library, opened without the framework.
    const ScratchFolder folder;
    std::filesystem::copy_file(kFolder / "fast_math.so", folder / "copy.so");
    REQUIRE(dlopen((folder / "copy.so").c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr);
    const unsigned int after = _mm_getcsr();
    _mm_setcsr(before);
    WARN_MESSAGE(after != before, "this compiler's -ffast-math leaves the control word alone");
}

TEST_CASE("what lies beyond the struct_size of an older plugin's table counts as zero") {
    const Library& library = load_library(kFolder / "sound.so");
    const l2o::test::ProblemLab problem({.optimizee = "quadratic"});
    const Catalog::Entry entry = entry_of(library, 1);
    const Optimizer optimizer(entry, resolve_options({}, {}, {}), task_of(problem.optimizee(), 0));
    CHECK(optimizer.info().grad_cost_per_step == 0);
    CHECK(optimizer.info().flags == L2O_DETERMINISTIC);
    REQUIRE(optimizer.vjp() != nullptr);
    CHECK((optimizer.vjp()->step_vjp != nullptr));
    CHECK((optimizer.vjp()->init_state_vjp == nullptr));
}

TEST_CASE("plugins see a host that knows its ABI and answers an unknown extension with NULL") {
    const l2o_host& host = host_services();
    CHECK(host.struct_size == sizeof(l2o_host));
    CHECK(host.abi_major == L2O_ABI_MAJOR);
    CHECK(host.get_extension(&host, "l2o.host.telepathy/1") == nullptr);
}
