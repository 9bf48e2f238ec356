#include "framework/config/settings.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace l2o::framework {
namespace {

template <typename Schema>
const Schema& find_in(const std::vector<Schema>& schemas, const std::string& key, const std::string& owner) {
    for (const Schema& schema : schemas) {
        if (schema.key == key || schema.key == kAnyKey) return schema;
    }
    throw std::logic_error("the schema of section '" + owner + "' has no '" + key + "'");
}

}  // namespace

const OptionSchema& SectionSchema::option(const std::string& name) const {
    return find_in(options, name, key);
}

const SectionSchema& SectionSchema::section(const std::string& name) const {
    return find_in(sections, name, key);
}

Range range_of(const OptionSchema& option) {
    return {.min = option.min,
            .max = option.max,
            .open_min = (option.flags & L2O_OPTION_OPEN_MIN) != 0,
            .open_max = (option.flags & L2O_OPTION_OPEN_MAX) != 0};
}

Settings::Settings(Section section, const SectionSchema& schema)
    : section_(std::move(section)), schema_(&schema) {}

std::int64_t Settings::get_int(const std::string& key) const {
    return get_int(key, parse_int(schema_->option(key).def.value()).value());
}

std::int64_t Settings::get_int(const std::string& key, std::int64_t absent) const {
    return section_.get_int(key, absent, range_of(schema_->option(key)));
}

double Settings::get_real(const std::string& key) const {
    const OptionSchema& option = schema_->option(key);
    return section_.get_real(key, parse_real(option.def.value()).value(), range_of(option));
}

double Settings::get_real(const std::string& key, double absent) const {
    return section_.get_real(key, absent, range_of(schema_->option(key)));
}

bool Settings::get_bool(const std::string& key) const {
    return section_.get_bool(key, parse_bool(schema_->option(key).def.value()).value());
}

std::string Settings::get_text(const std::string& key) const {
    return section_.get_string(key, schema_->option(key).def.value());
}

std::uint64_t Settings::get_bytes(const std::string& key) const {
    return section_.get_bytes(key, parse_bytes(schema_->option(key).def.value()).value());
}

std::optional<double> Settings::find_real(const std::string& key) const {
    const Range range = range_of(schema_->option(key));
    if (!section_.has(key)) return std::nullopt;
    return section_.require_real(key, range);
}

std::filesystem::path Settings::find_path(const std::string& key) const {
    static_cast<void>(schema_->option(key));
    return section_.has(key) ? section_.require_path(key) : std::filesystem::path{};
}

std::size_t Settings::choice_index(const std::string& key, std::optional<std::size_t> absent) const {
    const OptionSchema& option = schema_->option(key);
    const std::string& def = absent ? option.choices.at(*absent) : option.def.value();
    const std::string text = section_.get_choice(key, def, option.choices);
    return static_cast<std::size_t>(std::find(option.choices.begin(), option.choices.end(), text) -
                                    option.choices.begin());
}

bool Settings::has(const std::string& key) const {
    static_cast<void>(schema_->section(key));
    return section_.has(key);
}

Settings Settings::child(const std::string& key) const {
    return {section_.child(key), schema_->section(key)};
}

Section Settings::plugin(const std::string& key) const {
    if (schema_->section(key).plugin.empty())
        throw std::logic_error("section '" + key + "' of '" + schema_->key + "' is not one of a plugin");
    return section_.child(key);
}

Settings Settings::nested(const std::string& key) const {
    if (!schema_->nests) throw std::logic_error("the keys of section '" + schema_->key + "' do not nest");
    return {section_.child(key), *schema_};
}

}  // namespace l2o::framework
