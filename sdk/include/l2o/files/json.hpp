// Reading JSON that comes from elsewhere: what the host and the reader of .safetensors files share.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace l2o::files {

/// Why a text was refused: "is nested too deep, ...", "has "w" twice, ...", "is not valid JSON (...)".
class JsonFault : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A value for a message: one line of ASCII, cut where it is long.
inline std::string quoted_json(const nlohmann::json& value) {
    constexpr std::size_t kLongest = 60;
    std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
    return text;
}

namespace detail {

// nlohmann::json's own builder takes the last of equal keys and any depth; with a callback, it looks through
// the whole of the parent at the end of every object.
class JsonBuilder : public nlohmann::json_sax<nlohmann::json> {
    using json = nlohmann::json;

  public:
    JsonBuilder(std::size_t max_depth, std::string expected)
        : max_depth_(max_depth), expected_(std::move(expected)) {}

    json take() { return std::move(root_); }

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t&) override { return add(value); }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(json::value_t::object); }
    bool start_array(std::size_t) override { return open(json::value_t::array); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        const auto [member, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(
            std::move(name));  // which keeps a name that is there
        if (!is_new) throw JsonFault("has " + quoted_json(name) + " twice; expected distinct keys");
        member_ = &member->second;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
        throw JsonFault(std::string("is not valid JSON (") + error.what() + ")");
    }

  private:
    json& place(json value) {
        if (open_.empty()) return root_ = std::move(value);
        json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(value));
            return parent.back();
        }
        return *member_ = std::move(value);
    }
    bool add(json value) {
        place(std::move(value));
        return true;
    }
    bool open(json::value_t type) {
        if (open_.size() == max_depth_) throw JsonFault("is nested too deep; expected " + expected_);
        open_.push_back(&place(json(type)));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::size_t max_depth_;
    std::string expected_;
    json root_;
    json* member_ = nullptr;  // of the innermost object, whose key was read
    std::vector<json*> open_;
};

}  // namespace detail

/// JSON text as a value. Linear in its length, but for the order of keys; whoever walks the value meets at
/// most `max_depth` objects and arrays within one another.
/// @param expected  what has no more than that, for the message: "tensors with flat shapes".
/// @throw JsonFault if it is no JSON in UTF-8, has a key of an object twice, or is deeper.
[[nodiscard]] inline nlohmann::json parse_json(std::string_view text,
                                               std::size_t max_depth,
                                               const std::string& expected) {
    // nlohmann::json takes one for the end of its input.
    if (text.find('\0') != std::string_view::npos) throw JsonFault("is not valid JSON (it has a zero byte)");
    detail::JsonBuilder builder(max_depth, expected);
    nlohmann::json::sax_parse(text, &builder);
    return builder.take();
}

}  // namespace l2o::files
