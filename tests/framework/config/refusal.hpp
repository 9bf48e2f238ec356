#pragma once

#include <string>

#include "framework/error.hpp"

namespace l2o::test {

/// The text of the Error that an action throws, preceded by its exit code: "2 train.epochs is ...".
template <typename Action>
std::string refusal(Action action) {
    try {
        action();
    } catch (const framework::Error& error) {
        return std::to_string(static_cast<int>(error.code())) + " " + error.what();
    }
    return "no error";
}

}  // namespace l2o::test
