#include <dlfcn.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "framework/error.hpp"
#include "framework/plugin/child.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/store/scratch_folder.hpp"

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
                               "': has no symbol 'l2o_plugin_entry_v1rc1': not an l2o plugin, or built for "
                               "another major ABI");
}

TEST_CASE("a plugin built for the ABI before this one is refused with what to do") {
    const std::string path = (kFolder / "previous_layout.so").string();
    CHECK(refusal(path) ==
          "plugin '" + path +
              "': is built for another ABI, whose entry is 'l2o_plugin_entry_v1'; that of this "
              "l2o is 'l2o_plugin_entry_v1rc1': build it again with this SDK (CHANGELOG.md "
              "says how to move over)");
}

TEST_CASE("an entry that returns something else than a plugin table is refused") {
    CHECK(contains(refusal(kFolder / "no_magic.so"), "its entry returned no l2o plugin table"));
}

TEST_CASE("a library with two components of one kind and id is refused by that id") {
    const std::string path = (kFolder / "same_twice.so").string();
    CHECK(refusal(path) == "plugin '" + path +
                               "': its components 0 and 2 are both loss 'c_loss'; give each of a kind an id "
                               "of its own");
}

TEST_CASE("a library that says no license, or no vendor, is refused by what it leaves out") {
    for (const std::string field : {"license", "vendor"}) {
        const std::string path = (kFolder / ("no_" + field + ".so")).string();
        CHECK(refusal(path) == "plugin '" + path + "': says no " + field + ": l2o_plugin." + field +
                                   " is empty; expected a text, as every plugin says what it is, who answers "
                                   "for it and on what terms");
    }
}

TEST_CASE("a file that is no library, and one that is missing, are refused by name") {
    const ScratchFolder folder;
    std::ofstream(folder / "text.so") << "not a library\n";
    CHECK(contains(refusal(folder / "text.so"),
                   "plugin '" + (folder / "text.so").string() + "': cannot be loaded: "));
    CHECK(contains(refusal(folder / "missing.so"), "cannot be loaded: "));
}

TEST_CASE("the build of a library is its GNU build id and its size, read without loading it") {
    const LibraryFile sound(kFolder / "sound.so");
    CHECK(sound.build().id == "0123456789abcdef");
    CHECK(sound.build().size == static_cast<std::int64_t>(std::filesystem::file_size(kFolder / "sound.so")));
    CHECK(sound.build().content.empty());
    const LibraryFile nameless(kFolder / "nameless.so");
    CHECK(nameless.build().id.empty());
    CHECK(nameless.build().size > 0);
    CHECK(load_library(kFolder / "sound.so").description.build->id == "0123456789abcdef");
}

TEST_CASE("a library that is cut short anywhere is refused in a sentence, before the loader maps it") {
    const ScratchFolder folder;
    const std::string whole = read_file(kFolder / "sound.so");
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 97) {
        CAPTURE(size);
        const std::filesystem::path cut = folder / "cut.so";
        std::ofstream(cut, std::ios::binary) << whole.substr(0, size);
        const std::string text = refusal(cut);
        CHECK(text.starts_with("plugin '" + cut.string() + "': cannot be loaded: it is "));
        CHECK((contains(text, "cut short") || contains(text, "no ELF file")));
    }
    std::ofstream(folder / "one.so", std::ios::binary) << whole.substr(0, whole.size() - 1);
    CHECK(contains(refusal(folder / "one.so"),
                   "it is cut short or damaged: its section header table ends beyond its " +
                       std::to_string(whole.size() - 1) + " bytes; build or install it again"));
}

TEST_CASE("headers that lie are refused or read as they are, whatever byte of them is wrong") {
    const ScratchFolder folder;
    const std::string whole = read_file(kFolder / "sound.so");
    const std::filesystem::path path = folder / "lie.so";
    for (std::size_t at = 0; at < 1024; ++at) {
        for (const int mask : {0x01, 0x80, 0xFF}) {
            CAPTURE(at);
            CAPTURE(mask);
            std::string bytes = whole;
            bytes[at] = static_cast<char>(bytes[at] ^ mask);
            std::ofstream(path, std::ios::binary) << bytes;
            try {
                const Build build = LibraryFile(path).build();
                CHECK(build.size == static_cast<std::int64_t>(whole.size()));
            } catch (const Error& error) {
                CHECK(error.code() == ExitCode::kPlugin);
                CHECK(std::string(error.what())
                          .starts_with("plugin '" + path.string() + "': cannot be loaded: "));
            }
        }
    }
}

TEST_CASE("what is no file, and what is built for another machine, is refused by name") {
    const ScratchFolder folder;
    CHECK(contains(refusal(folder / ""), "cannot be loaded: it is no regular file"));
    REQUIRE(::mkfifo((folder / "fifo.so").c_str(), 0600) == 0);
    CHECK(contains(refusal(folder / "fifo.so"), "cannot be loaded: it is no regular file"));
    std::string other = read_file(kFolder / "sound.so");
    other[18] = '\xB7';  // e_machine: AArch64
    std::ofstream(folder / "other.so", std::ios::binary) << other;
    CHECK(contains(refusal(folder / "other.so"), "it is built for another machine; expected x86-64"));
}

TEST_CASE("a library of other bytes than those expected is not opened") {
    Build expected = LibraryFile(kFolder / "no_magic.so").build_with_content();
    const auto refused = [&] {
        try {
            static_cast<void>(load_library(kFolder / "no_magic.so", &expected));
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(contains(refused(), "its entry returned no l2o plugin table"));
    expected.content[0] = expected.content[0] == '0' ? '1' : '0';
    CHECK(contains(refused(), "its content is not that of its manifest, though build id and size are"));
    expected.id = "fedcba9876543210";
    CHECK(contains(refused(), "its manifest describes fedcba987654; write it again with l2o-manifest"));
}

TEST_CASE("a file is another one once it is written to or replaced") {
    const ScratchFolder folder;
    const std::filesystem::path path = folder / "copy.so";
    std::filesystem::copy_file(kFolder / "sound.so", path);
    const LibraryFile opened(path);
    CHECK(opened.is_unchanged());
    std::filesystem::copy_file(kFolder / "sound.so", folder / "new.so");
    std::filesystem::rename(folder / "new.so", path);
    CHECK_FALSE(opened.is_unchanged());
    const LibraryFile again(path);
    std::filesystem::resize_file(path, 100);
    CHECK_FALSE(again.is_unchanged());
}

TEST_CASE("a library described in a child costs nothing but the child, whatever it does while it is loaded") {
    const PluginDescription sound = describe_in_child(kFolder / "sound.so", 60);
    CHECK(difference(sound, describe_library(kFolder / "sound.so")).empty());
    CHECK(sound.build->id == "0123456789abcdef");
    const auto refused = [](const char* name, double time_limit_s) {
        try {
            static_cast<void>(describe_in_child(kFolder / name, time_limit_s));
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    const std::string when = "when it was loaded in a process of its own, that ";
    CHECK(
        contains(refused("crashes_at_once.so", 60), "crashes_at_once.so': " + when + "crashed with SIGABRT"));
    CHECK(contains(refused("ends_at_once.so", 60), when + "ended the process with exit code 0"));
    CHECK(contains(refused("hangs_at_once.so", 0.2), when + "did not come back within 0.2 s"));
    CHECK(contains(refused("no_entry.so", 60), "no_entry.so': has no symbol 'l2o_plugin_entry_v1rc1'"));
}

TEST_CASE("a library that was refused is refused again, with the same words") {
    const std::string first = refusal(kFolder / "no_magic.so");
    CHECK(first == refusal(kFolder / "no_magic.so"));
    CHECK_FALSE(first.empty());
}

TEST_CASE("a library linked with -ffast-math does not switch off denormal numbers in the host") {
    constexpr unsigned int kRaised = _MM_EXCEPT_MASK;  // what computing leaves there; the rest is control
    const unsigned int before = _mm_getcsr() & ~kRaised;
    const Library& library = load_library(kFolder / "fast_math.so");
    CHECK((_mm_getcsr() & ~kRaised) == before);
    CHECK(library.description.id == "c_library");
    // It does so if nobody looks after it: a second copy of the library, opened without the framework.
    const ScratchFolder folder;
    std::filesystem::copy_file(kFolder / "fast_math.so", folder / "copy.so");
    REQUIRE(dlopen((folder / "copy.so").c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr);
    const unsigned int after = _mm_getcsr();
    _mm_setcsr(before);
    WARN_MESSAGE(after != before, "this compiler's -ffast-math leaves the control word alone");
}

TEST_CASE("plugins see a host that knows its ABI and answers an unknown extension with NULL") {
    const l2o_host& host = host_services();
    CHECK(host.struct_size == sizeof(l2o_host));
    CHECK(host.abi_major == L2O_ABI_MAJOR);
    CHECK(host.get_extension(&host, "l2o.host.telepathy/1") == nullptr);
}

TEST_CASE("child: one whose words the listener does not take is ended, and leaves nothing behind") {
    const auto open_files = [] {
        const std::filesystem::directory_iterator all("/proc/self/fd");
        return std::distance(begin(all), end(all));
    };
    const auto before = open_files();
    pid_t child = 0;
    CHECK_THROWS_AS((void)run_in_child(
                        [](const Send& send) {
                            send(std::to_string(::getpid()));
                            ::pause();
                        },
                        [&](const std::string& line) {
                            child = std::stoi(line);
                            throw std::runtime_error("not that");
                        },
                        60),
                    std::runtime_error);
    REQUIRE(child > 0);
    CHECK(::kill(child, 0) != 0);  // neither running nor waiting for its parent
    CHECK(open_files() == before);
}
