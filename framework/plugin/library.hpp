#pragma once

#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>

#include <deque>
#include <filesystem>

#include "framework/plugin/description.hpp"
#include "framework/plugin/library_file.hpp"

namespace l2o::framework {

/// A component of a loaded library, its tables copied once into structs of this header (rule R3 of
/// abi/base.h).
struct Component {
    l2o_component table{};
    l2o_optimizer_api optimizer{};
    l2o_optimizee_api optimizee{};
    l2o_loss_api loss{};
};

/// A loaded plugin library. Libraries are never unloaded: thread-locals, LibTorch's registries and OpenMP
/// threads outlive any dlclose (pytorch#61111, rust#59629).
struct Library {
    PluginDescription description;
    std::deque<Component> components;
};

/// Loads a library (RTLD_NOW | RTLD_LOCAL), once per path; the floating-point control word is restored,
/// whatever the library's start-up code did to it. `description.build` is that of the file that was loaded.
/// @param expected  what the file must be: nothing of another content is opened; NULL: any.
/// @throw Error kPlugin: not a library, cut short, not the one expected, no entry symbol, another ABI.
[[nodiscard]] const Library& load_library(const std::filesystem::path& path, const Build* expected = nullptr);

/// What a manifest says of a library, with the build of the one that stands for it on other processors. Loads
/// it. @throw Error kPlugin
[[nodiscard]] PluginDescription describe_library(const std::filesystem::path& path);
/// The same for the library that is loaded here (see built_for()), in a child process: what it does while it
/// is loaded costs the child alone.
/// @pre    as for run_in_child()
/// @throw  Error kPlugin: it cannot be loaded; it crashed, ended the process, or took longer than the limit.
[[nodiscard]] PluginDescription describe_in_child(const std::filesystem::path& path, double time_limit_s);

/// The services that plugins see.
[[nodiscard]] const l2o_host& host_services();

}  // namespace l2o::framework
