#pragma once

#include <l2o/abi/option.h>

#include <charconv>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/normalised.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace l2o {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Allowed values of a number; an open end excludes the bound itself.
struct Range {
    double min = -kInfinity, max = kInfinity;
    bool open_min = false, open_max = false;
};
inline constexpr Range kAny{};
inline constexpr Range kPositive{0, kInfinity, true, false};
inline constexpr Range kNonNegative{0, kInfinity, false, false};
inline constexpr Range kFraction{0, 1, false, true};  ///< [0, 1)
constexpr Range at_least(double min) { return {min, kInfinity, false, false}; }
constexpr Range between(double min, double max) { return {min, max, false, false}; }

/// The option schema of a method, written once as a list of its members; a default is the member's initial
/// value.
template <class Method>
class Options {
  public:
    Options() = default;
    Options(Options&&) noexcept = default;  // no copies: the schema points into this object's own text
    Options& operator=(Options&&) noexcept = default;

    Options& real(const char* key, double Method::*member, const char* doc, Range range = kAny) {
        return add(L2O_OPTION_REAL,
                   key,
                   doc,
                   shortest(Method{}.*member),
                   range,
                   [member](Method& m, const l2o_value& v) { m.*member = v.d; });
    }
    Options& integer(const char* key, std::int64_t Method::*member, const char* doc, Range range = kAny) {
        return add(L2O_OPTION_INT,
                   key,
                   doc,
                   std::to_string(Method{}.*member),
                   range,
                   [member](Method& m, const l2o_value& v) { m.*member = v.i; });
    }
    Options& flag(const char* key, bool Method::*member, const char* doc) {
        return add(L2O_OPTION_BOOL,
                   key,
                   doc,
                   Method{}.*member ? "true" : "false",
                   kAny,
                   [member](Method& m, const l2o_value& v) { m.*member = v.i != 0; });
    }
    /// An enum whose values number `choices` from 0.
    template <class Enum>
    Options& choice(const char* key,
                    Enum Method::*member,
                    std::initializer_list<const char*> choices,
                    const char* doc) {
        const auto initial = static_cast<std::size_t>(Method{}.*member);
        if (initial >= choices.size())
            invalid("option '" + std::string(key) + "' has " + std::to_string(choices.size()) +
                    " choices, and its default is number " + std::to_string(initial) +
                    "; expected a name for every value of the enum, from 0");
        choices_.emplace_back(choices);
        choices_.back().push_back(nullptr);
        add(L2O_OPTION_CHOICE,
            key,
            doc,
            choices_.back()[initial],
            kAny,
            [member](Method& m, const l2o_value& v) { m.*member = static_cast<Enum>(v.i); });
        schema_.back().choices = choices_.back().data();
        return *this;
    }
    Options& integers(const char* key,
                      std::vector<std::int64_t> Method::*member,
                      const char* doc,
                      Range range = kAny) {
        std::string def;
        const Method initial{};
        for (const std::int64_t i : initial.*member) def += (def.empty() ? "" : ",") + std::to_string(i);
        return add(L2O_OPTION_INTS, key, doc, def, range, [member](Method& m, const l2o_value& v) {
            (m.*member).assign(v.iv, v.iv + v.count);
        });
    }
    Options& reals(const char* key,
                   std::vector<double> Method::*member,
                   const char* doc,
                   Range range = kAny) {
        std::string def;
        const Method initial{};
        for (const double d : initial.*member) def += (def.empty() ? "" : ",") + shortest(d);
        return add(L2O_OPTION_REALS, key, doc, def, range, [member](Method& m, const l2o_value& v) {
            (m.*member).assign(v.dv, v.dv + v.count);
        });
    }
    Options& text(const char* key, std::string Method::*member, const char* doc) {
        return add(
            L2O_OPTION_TEXT, key, doc, Method{}.*member, kAny, [member](Method& m, const l2o_value& v) {
                m.*member = v.s;
            });
    }
    Options& path(const char* key, std::string Method::*member, const char* doc) {
        return add(
            L2O_OPTION_PATH, key, doc, Method{}.*member, kAny, [member](Method& m, const l2o_value& v) {
                m.*member = v.s;
            });
    }

    /// Marks the option added last as one that has no default.
    Options& required() {
        if (schema_.empty()) invalid("required() is said of no option; expected it behind one");
        schema_.back().def = nullptr;
        schema_.back().flags |= L2O_OPTION_REQUIRED;
        return *this;
    }

    [[nodiscard]] std::vector<const l2o_option*> schema() const {
        std::vector<const l2o_option*> list;
        for (const l2o_option& option : schema_) list.push_back(&option);
        return list;
    }
    void apply(Method& method, const l2o_value* const* values, std::uint32_t n) const {
        if (n != setters_.size())
            invalid("the host passed " + std::to_string(n) + " option values; expected " +
                    std::to_string(setters_.size()));
        for (std::uint32_t i = 0; i < n; ++i) setters_[i](method, normalised(*values[i]));
    }

  private:
    using Setter = std::function<void(Method&, const l2o_value&)>;

    static std::string shortest(double value) {
        char text[32];
        return {text, std::to_chars(text, text + sizeof text, value).ptr};
    }
    Options& add(
        std::int32_t type, const char* key, const char* doc, std::string def, Range range, Setter setter) {
        text_.push_back(std::move(def));
        l2o_option option{};
        option.struct_size = sizeof option;
        option.type = type;
        option.key = key;
        option.doc = doc;
        option.def = text_.back().c_str();
        option.min = range.min;
        option.max = range.max;
        option.flags =
            (range.open_min ? L2O_OPTION_OPEN_MIN : 0) | (range.open_max ? L2O_OPTION_OPEN_MAX : 0);
        schema_.push_back(option);
        setters_.push_back(std::move(setter));
        return *this;
    }

    // Deques: the schema points into them.
    std::deque<l2o_option> schema_;
    std::deque<std::string> text_;
    std::deque<std::vector<const char*>> choices_;
    std::vector<Setter> setters_;
};

}  // namespace l2o
