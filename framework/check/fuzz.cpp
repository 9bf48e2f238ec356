#include "framework/check/fuzz.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>

#include "framework/config/value_text.hpp"

namespace l2o::framework {
namespace {

/// What a stream of random numbers is for; each has its own, so that a case that is repeated with some of it
/// given draws the rest as before.
enum Purpose : std::uint32_t { kOptions, kPartner, kOptionsOfProblem, kCircumstances };

class Draws {
  public:
    Draws(std::uint64_t seed, std::uint64_t index, Purpose purpose)
        : stream_(Key{seed, 0xf022}, index, purpose) {}

    double uniform(double min, double max) { return min + (max - min) * stream_.uniform(); }
    bool chance(double share) { return stream_.uniform() < share; }
    /// Whole, in [0, n).
    std::uint64_t below(std::uint64_t n) { return stream_.bits64() % n; }
    /// Whole, in [min, max], small ones as often as large ones.
    std::int64_t whole(std::int64_t min, std::int64_t max) {
        const double from = std::log(static_cast<double>(std::max<std::int64_t>(min, 1))),
                     to = std::log(static_cast<double>(std::max<std::int64_t>(max, 1)) + 1);
        const bool is_zero = min == 0 && chance(0.1);
        const auto drawn = static_cast<std::int64_t>(std::exp(uniform(from, to)));
        return is_zero ? 0 : std::clamp(drawn, min, std::max(min, max));
    }
    std::uint64_t bits64() { return stream_.bits64(); }

  private:
    numerics::Stream stream_;
};

constexpr double kShareSet = 0.5, kShareOfEnds = 0.2;

/// A whole number that an option takes: a size of moderate cost, never beyond a few times its default.
std::int64_t draw_whole(Draws& draws, const OptionSchema& option, std::int64_t usual, std::int64_t most) {
    constexpr double kLeast = -100;
    const auto min = static_cast<std::int64_t>(std::max(option.min, kLeast));
    const auto max = static_cast<std::int64_t>(std::min(option.max, static_cast<double>(most)));
    if (draws.chance(kShareOfEnds) && std::isfinite(option.min)) return min;
    if (min < 0 && draws.chance(0.5)) return -draws.whole(0, std::min(-min, usual));
    return draws.whole(std::max<std::int64_t>(min, 0), max);
}

/// A number that an option takes: an end of its range, or one a few powers of ten around its default.
double draw_real(Draws& draws, const OptionSchema& option, double usual) {
    const bool is_open_min = (option.flags & L2O_OPTION_OPEN_MIN) != 0,
               is_open_max = (option.flags & L2O_OPTION_OPEN_MAX) != 0;
    const bool wants_end = draws.chance(kShareOfEnds), wants_max = draws.chance(0.5);
    if (wants_end && wants_max && std::isfinite(option.max) && !is_open_max) return option.max;
    if (wants_end && !wants_max && std::isfinite(option.min) && !is_open_min) return option.min;
    constexpr double kDecades = 1.5;
    const double factor = std::pow(10, draws.uniform(-kDecades, kDecades)),
                 inside = draws.uniform(0.001, 0.999);
    const bool is_negative = usual == 0 && option.min < 0 && draws.chance(0.5),
               is_anywhere = draws.chance(0.5);
    const double around = (usual != 0 ? usual : is_negative ? -1 : 1) * factor;
    const bool is_bounded = std::isfinite(option.min) && std::isfinite(option.max);
    const bool is_in = (around > option.min || (around == option.min && !is_open_min)) &&
                       (around < option.max || (around == option.max && !is_open_max));
    if (is_bounded && (is_anywhere || !is_in)) return option.min + (option.max - option.min) * inside;
    if (is_in) return around;
    return std::isfinite(option.min)   ? option.min + factor
           : std::isfinite(option.max) ? option.max - factor
                                       : around;
}

/// The text of a value; "" for an option of which nothing sensible can be drawn.
std::string draw_value(Draws& draws, const OptionSchema& option, const std::string& size) {
    const std::string given = size.empty() ? option.def.value_or("") : size;
    switch (option.type) {
        case L2O_OPTION_BOOL:
            return draws.chance(0.5) ? "true" : "false";
        case L2O_OPTION_CHOICE:
            return option.choices.empty() ? "" : option.choices[draws.below(option.choices.size())];
        case L2O_OPTION_INT: {
            constexpr std::int64_t kSmall = 24;
            const std::int64_t usual = parse_int(given).value_or(0);
            // 0 may stand for all there is of what was made small.
            OptionSchema schema = option;
            if (!size.empty()) schema.min = std::max(option.min, 1.0);
            return std::to_string(
                draw_whole(draws, schema, kSmall, size.empty() ? std::max(kSmall, 2 * usual) : 2 * usual));
        }
        case L2O_OPTION_INTS: {
            const std::vector<std::int64_t> usual = parse_ints(given).value_or(std::vector<std::int64_t>{});
            const std::int64_t largest =
                usual.empty() ? 4 : std::max<std::int64_t>(*std::max_element(usual.begin(), usual.end()), 2);
            std::vector<std::int64_t> values(draws.below(4));
            for (std::int64_t& value : values) value = draw_whole(draws, option, largest, 2 * largest);
            return format_ints(values);
        }
        case L2O_OPTION_REAL:
            return format_real(draw_real(draws, option, parse_real(given).value_or(0)));
        case L2O_OPTION_REALS: {
            const std::vector<double> usual = parse_reals(given).value_or(std::vector<double>{});
            std::vector<double> values(draws.below(4));
            for (double& value : values) value = draw_real(draws, option, usual.empty() ? 0 : usual[0]);
            return format_reals(values);
        }
        default:
            return "";  // texts and paths mean something
    }
}

/// Adds to what is given; `sizes` go where nothing is drawn.
void draw_options(Draws& draws,
                  const std::vector<OptionSchema>& schema,
                  const std::map<std::string, std::string>& sizes,
                  std::map<std::string, std::string>& settings) {
    for (const OptionSchema& option : schema) {
        const auto size = sizes.find(option.key);
        const std::string usual = size == sizes.end() ? "" : size->second;
        const bool is_set = draws.chance(kShareSet) || (usual.empty() && !option.def);
        const std::string value = draw_value(draws, option, usual);
        if (settings.contains(option.key)) continue;
        if (is_set && (!value.empty() || option.type == L2O_OPTION_INTS || option.type == L2O_OPTION_REALS)) {
            settings[option.key] = value;
        } else if (!usual.empty()) {
            settings[option.key] = usual;
        }
    }
}

std::string in_words(const std::map<std::string, std::string>& settings) {
    std::string text;
    for (const auto& [key, value] : settings)
        text += (text.empty() ? "" : " ") + key + "=" + shell_word(value);
    return text.empty() ? "defaults" : text;
}

}  // namespace

FuzzCase fuzz_case(const Subject& subject,
                   const std::vector<Partner>& partners,
                   std::uint64_t seed,
                   std::uint64_t index) {
    FuzzCase out{.subject = subject, .in_words = ""};
    Subject& drawn = out.subject;
    const bool is_problem = subject.entry.component.kind == Kind::kOptimizee;
    Draws options(seed, index, kOptions);
    draw_options(options,
                 subject.entry.component.options,
                 is_problem ? subject.sizes : std::map<std::string, std::string>{},
                 drawn.settings);
    if (!is_problem) {
        Draws pick(seed, index, kPartner);
        const Partner& partner = partners[pick.below(partners.size())];
        drawn.optimizee = partner.entry;
        drawn.optimizee_settings = partner.settings;
        Draws problem(seed, index, kOptionsOfProblem);
        draw_options(problem, partner.entry.component.options, partner.sizes, drawn.optimizee_settings);
    }
    drawn.sizes.clear();

    constexpr std::int64_t kMostRows = 97, kLatest = 60;
    constexpr double kPowers = 1;
    Draws draws(seed, index, kCircumstances);
    Circumstances& in = drawn.circumstances;
    in.seed = draws.bits64();
    in.batch = draws.whole(1, kMostRows);
    in.dtype = draws.chance(0.5) ? Dtype::kF32 : Dtype::kF64;
    in.later = draws.whole(1, 8);
    in.last = in.later + draws.whole(1, kLatest - 8);
    in.spread = std::pow(10, draws.uniform(-kPowers, kPowers));
    in.slope = static_cast<int>(draws.below(17)) - 12;
    drawn.two_blocks = draws.chance(0.25) && subject.entry.component.kind == Kind::kOptimizer;
    out.in_words = fmt::format(
        "{}{}; {}, {} rows, t = 0, {} and {}, points spread {:.3g} times as far, objective times 2^{}{}",
        in_words(drawn.settings),
        drawn.optimizee
            ? fmt::format(
                  ", on {} with {}", drawn.optimizee->component.id, in_words(drawn.optimizee_settings))
            : "",
        name_of(*in.dtype),
        in.batch,
        in.later,
        in.last,
        in.spread,
        in.slope,
        drawn.two_blocks ? ", with another block" : "");
    return out;
}

}  // namespace l2o::framework
