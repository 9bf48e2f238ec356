#pragma once

#include <l2o/abi/plugin.h>

#include <concepts>
#include <cstdio>
#include <exception>
#include <l2o/sdk/member.hpp>
#include <l2o/sdk/option.hpp>
#include <type_traits>
#include <vector>

#ifndef L2O_PLUGIN_LICENSE
#define L2O_PLUGIN_LICENSE ""
#endif
#ifndef L2O_PLUGIN_VENDOR
#define L2O_PLUGIN_VENDOR ""
#endif

namespace l2o {

/// Who a method is: `static constexpr l2o::About about{...}` in its class.
struct About {
    const char* id;
    const char* version;
    const char* title;  ///< one line
    const char* doc;    ///< a paragraph, with the source (authors, year, equation)
    // Who answers for it, and on what terms: said here, or once for a project (L2O_PLUGIN_LICENSE and
    // L2O_PLUGIN_VENDOR, which l2o_add_plugin() passes on from variables of CMake).
    const char* license = L2O_PLUGIN_LICENSE;
    const char* vendor = L2O_PLUGIN_VENDOR;
    const char* needs = "";    ///< data tensors by name: "A,b?,lambda"
    const char* runtime = "";  ///< see l2o_plugin.runtime
};

namespace detail {

constexpr bool is_said(const char* text) { return text != nullptr && *text != '\0'; }

template <class Method>
const Options<Method>& options_of() {
    static const Options<Method> options = [] {
        static_assert(
            !has_options<Method> ||
                requires {
                    { Method::options() } -> std::convertible_to<Options<Method>>;
                },
            "options is there and is not 'static l2o::Options<METHOD> options()'");
        if constexpr (has_options<Method>) {
            return Method::options();
        } else {
            return Options<Method>{};
        }
    }();
    return options;
}

/// The static description of a method; Kind supplies `kind`, `api` and `tags`.
template <class Kind>
const l2o_component* component() {
    using Method = typename Kind::Method;
    static const std::vector<const l2o_option*> schema = options_of<Method>().schema();
    static const std::vector<const char*> tags = Kind::tags();
    static const l2o_component component = [] {
        l2o_component c{};
        c.struct_size = sizeof c;
        c.n_options = static_cast<std::uint32_t>(schema.size());
        c.kind = Kind::kKind;
        c.id = Method::about.id;
        c.title = Method::about.title;
        c.doc = Method::about.doc;
        c.options = schema.data();
        c.tags = tags.data();
        c.needs = Method::about.needs;
        c.api = &Kind::kApi;
        return c;
    }();
    return &component;
}

template <class First, class... Rest>
const l2o_plugin* plugin() {
    static_assert(is_said(First::Method::about.license) && is_said(First::Method::about.vendor),
                  "about says no license or no vendor; expected both there, or once for a project with "
                  "set(L2O_PLUGIN_LICENSE MIT) and set(L2O_PLUGIN_VENDOR NAME) before l2o_add_plugin()");
    static const l2o_component* const components[] = {component<First>(), component<Rest>()...};
    static const l2o_plugin plugin = [] {
        const About& about = First::Method::about;
        l2o_plugin p{};
        p.magic = L2O_MAGIC;
        p.struct_size = sizeof p;
        p.built_major = L2O_ABI_MAJOR;
        p.built_minor = L2O_ABI_MINOR;
        p.n_components = 1 + sizeof...(Rest);
        p.id = about.id;
        p.version = about.version;
        p.license = about.license;
        p.vendor = about.vendor;
        p.runtime = about.runtime;
        if constexpr (requires { First::Method::runtime; }) {
            if (!is_said(p.runtime)) p.runtime = First::Method::runtime;
        }
        p.components = components;
        return p;
    }();
    return &plugin;
}

/// NULL, and a word on stderr, where the tables cannot be made.
template <class... Kinds>
const l2o_plugin* entry() noexcept {
    try {
        return plugin<Kinds...>();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "plugin: %s\n", error.what());
    } catch (...) {
        std::fprintf(stderr, "plugin: options() throws what is no std::exception\n");
    }
    return nullptr;
}

}  // namespace detail
}  // namespace l2o

/// Exports the library's entry: L2O_PLUGIN(l2o::Optimizer<Momentum>), or several components; id, version and
/// licence of the library are those of the first.
#define L2O_PLUGIN(...)                                                                  \
    extern "C" L2O_EXPORT const l2o_plugin* L2O_CALL l2o_plugin_entry_v1rc1() noexcept { \
        return l2o::detail::entry<__VA_ARGS__>();                                        \
    }
