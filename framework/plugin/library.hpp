#pragma once

#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>

#include <deque>
#include <filesystem>

#include "framework/plugin/description.hpp"

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
/// whatever the library's start-up code did to it. Throws Error(kPlugin): not a library, no entry symbol,
/// another ABI.
[[nodiscard]] const Library& load_library(const std::filesystem::path& path);

/// The library that stands for this one on a processor of level x86-64-v4 (AVX-512 F, BW, CD, DQ, VL): the
/// file of the same name in the folder "x86-64-v4" beside it, if there is one; else itself.
[[nodiscard]] std::filesystem::path built_for(const std::filesystem::path& library, bool is_x86_64_v4);
/// Whether this machine is one.
[[nodiscard]] bool is_x86_64_v4();

/// The services that plugins see.
[[nodiscard]] const l2o_host& host_services();

}  // namespace l2o::framework
