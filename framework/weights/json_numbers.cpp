#include "framework/weights/json_numbers.hpp"

#include <cmath>
#include <l2o/files/json.hpp>

#include "framework/text/json.hpp"

namespace l2o::framework {

std::int64_t count_of(const nlohmann::json& object, const char* key) {
    const nlohmann::json& value = object.at(key);
    constexpr std::int64_t kMost = 1'000'000'000'000'000;
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > kMost)
        throw files::JsonFault(std::string("'") + key + "' is " + files::quoted_json(value) +
                               "; expected a whole number in [0, 1e15]");
    return value.get<std::int64_t>();
}

double real_of(const nlohmann::json& object, const char* key) {
    const nlohmann::json& value = object.at(key);
    return value.is_null() ? NAN : value.get<double>();
}

}  // namespace l2o::framework
