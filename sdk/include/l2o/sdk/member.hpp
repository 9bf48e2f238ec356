#pragma once

#include <type_traits>

// has_NAME<C>: whether a class has a member of that name at all, whatever it is. A member that is there and
// cannot be called as it has to be is a mistake to be told of, not a feature that is left out. The name is
// ambiguous in a class that inherits it twice; a final class has no heirs (kCanBeLookedInto).
#define L2O_DETAIL_MEMBER(name)                       \
    struct Named_##name {                             \
        int name;                                     \
    };                                                \
    template <class C>                                \
    struct Twice_##name : HeirOf<C>, Named_##name {}; \
    template <class C>                                \
    inline constexpr bool has_##name = !requires {    \
        &Twice_##name<C>::name;                       \
    }

namespace l2o::detail {

struct NoMembers {};
template <class C>
inline constexpr bool kCanBeLookedInto = !std::is_final_v<C>;
template <class C>
using HeirOf = std::conditional_t<kCanBeLookedInto<C>, C, NoMembers>;

// clang-format off
L2O_DETAIL_MEMBER(options);
L2O_DETAIL_MEMBER(init_params);
L2O_DETAIL_MEMBER(init_point);
L2O_DETAIL_MEMBER(init_state);
L2O_DETAIL_MEMBER(init_state_vjp);
L2O_DETAIL_MEMBER(recommend);
L2O_DETAIL_MEMBER(step_vjp);
L2O_DETAIL_MEMBER(hvp);
L2O_DETAIL_MEMBER(prox);
L2O_DETAIL_MEMBER(metrics);
L2O_DETAIL_MEMBER(solve);
L2O_DETAIL_MEMBER(vjp);
// clang-format on

}  // namespace l2o::detail

#undef L2O_DETAIL_MEMBER
