// nlohmann's JSON for sources of the framework and of what links it: its members are compiled in json.cpp alone,
// which halves the time of a source that writes some.
#pragma once

#include <nlohmann/json.hpp>

extern template class nlohmann::basic_json<>;
