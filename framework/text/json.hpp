// nlohmann's JSON for sources of the framework and of what links it. Where nothing is optimized (tests, and
// much of the sanitizer build) its members are compiled in json.cpp alone, which halves the time of a source
// that writes some.
#pragma once

#include <nlohmann/json.hpp>

#ifndef __OPTIMIZE__  // where GCC 12 inlines half of them, and warns of bounds in what is left
extern template class nlohmann::basic_json<>;
#endif
