#pragma once

#include <string>

#include "framework/error.hpp"

/// The text of the Error that `action` throws, which must be of kind kIo; "" if it throws none.
template <class Action>
std::string io_error_text(Action&& action) {
    try {
        action();
    } catch (const l2o::framework::Error& e) {
        return e.code() == l2o::framework::ExitCode::kIo ? e.what() : std::string("not kIo: ") + e.what();
    }
    return "";
}
