#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/config/options.hpp"
#include "framework/config/options_text.hpp"
#include "framework/config/value_text.hpp"
#include "framework/text/json.hpp"
#include "refusal.hpp"

using namespace l2o::framework;
using l2o::test::refusal;

namespace {

const OptionContext kAdam{
    .origin = "run.info:1", .path = "contestants.adam.optimizer", .kind = "optimizer", .id = "adam"};

std::vector<OptionSchema> every_type() {
    return {{.type = L2O_OPTION_BOOL, .key = "amsgrad", .def = "false"},
            {.type = L2O_OPTION_INT, .key = "layers", .def = "16", .min = 1, .max = 100},
            {.type = L2O_OPTION_REAL,
             .key = "beta1",
             .def = "0.9",
             .min = 0,
             .max = 1,
             .flags = L2O_OPTION_OPEN_MAX},
            {.type = L2O_OPTION_CHOICE, .key = "variant", .def = "plain", .choices = {"amsgrad", "plain"}},
            {.type = L2O_OPTION_INTS, .key = "hidden", .def = "20,20", .min = 1},
            {.type = L2O_OPTION_PATH, .key = "data", .def = ""},
            {.type = L2O_OPTION_TEXT, .key = "label", .def = "a, b"},
            {.type = L2O_OPTION_REALS,
             .key = "rates",
             .def = "0.1,1e-3",
             .min = 0,
             .flags = L2O_OPTION_OPEN_MIN}};
}

std::vector<SettingText> settings(const std::string& text) {
    return Config::parse(text, "/exp/run.info").root().rest();
}

ResolvedOptions resolve(const std::string& text) {
    return resolve_options(every_type(), settings(text), kAdam);
}

std::string resolve_refusal(const OptionSchema& option, const std::string& text) {
    return refusal([&] { (void)resolve_options(std::vector{option}, settings(text), kAdam); });
}

}  // namespace

TEST_CASE("options: without settings every option has its default, in schema order") {
    const ResolvedOptions options = resolve("");
    const auto values = options.values();
    REQUIRE(values.size() == 8);
    CHECK(values[0]->type == L2O_OPTION_BOOL);
    CHECK(values[0]->i == 0);
    CHECK(values[1]->i == 16);
    CHECK(values[2]->d == 0.9);
    CHECK(values[3]->i == 1);
    CHECK(std::string(values[3]->s) == "plain");
    REQUIRE(values[4]->count == 2);
    CHECK(values[4]->iv[1] == 20);
    CHECK(std::string(values[5]->s) == "");
    CHECK(std::string(values[6]->s) == "a, b");
    REQUIRE(values[7]->count == 2);
    CHECK(values[7]->dv[1] == 0.001);
    for (const l2o_value* value : values) CHECK(value->struct_size == sizeof(l2o_value));
}

TEST_CASE("options: each type is read from its text, and `use` is none of them") {
    const ResolvedOptions options = resolve(
        "use adam amsgrad yes layers 1e2 beta1 0 variant amsgrad hidden \"5, 6,7\" data ../w.st "
        "label \" ../wä \" rates \"2, .5\"\n");
    const auto values = options.values();
    CHECK(values[0]->i == 1);
    CHECK(values[1]->i == 100);
    CHECK(values[2]->d == 0);
    CHECK(values[3]->i == 0);
    CHECK(std::vector<std::int64_t>(values[4]->iv, values[4]->iv + values[4]->count) ==
          std::vector<std::int64_t>{5, 6, 7});
    CHECK(std::string(values[5]->s) == "/w.st");
    CHECK(std::string(values[6]->s) == " ../wä ");
    CHECK(std::vector<double>(values[7]->dv, values[7]->dv + values[7]->count) ==
          std::vector<double>{2, 0.5});
}

TEST_CASE("options: the values keep their addresses when the options move") {
    ResolvedOptions options = resolve("hidden 3 data x label y rates 4");
    const l2o_value* const path = options.values()[5];
    const char* const text = path->s;
    ResolvedOptions moved = std::move(options);
    CHECK(moved.values()[5] == path);
    CHECK(moved.values()[5]->s == text);
    CHECK(std::string(text) == "/exp/x");
    ResolvedOptions assigned = resolve("");
    assigned = std::move(moved);
    CHECK(assigned.values()[5]->s == text);
    CHECK(assigned.values()[4]->iv[0] == 3);
    CHECK(std::string(assigned.values()[6]->s) == "y");
    CHECK(assigned.values()[7]->dv[0] == 4);
}

TEST_CASE("options: an unknown option names the plugin and its nearest option") {
    CHECK(
        refusal([] { (void)resolve("\nlayer 5"); }) ==
        "2 /exp/run.info:2: contestants.adam.optimizer: optimizer 'adam' has no option 'layer'; did you mean "
        "'layers'? known: amsgrad, beta1, data, hidden, label, layers, rates, variant");
    CHECK(
        refusal([] { (void)resolve_options({}, settings("layer 5"), kAdam); }) ==
        "2 /exp/run.info:1: contestants.adam.optimizer: optimizer 'adam' has no option 'layer'; it has none");
}

TEST_CASE("options: a text that is no value of its option names the option and what was expected") {
    const auto refused = [](const std::string& text) { return refusal([&] { (void)resolve(text); }); };
    const std::string where = "2 /exp/run.info:1: contestants.adam.optimizer.";
    CHECK(refused("amsgrad maybe") == where + "amsgrad is 'maybe'; expected true or false");
    CHECK(refused("layers 1.5") == where + "layers is '1.5'; expected a whole number in [1, 100]");
    CHECK(refused("layers 0") == where + "layers is '0'; expected a whole number in [1, 100]");
    CHECK(refused("layers 101") == where + "layers is '101'; expected a whole number in [1, 100]");
    CHECK(refused("beta1 1.2") == where + "beta1 is '1.2'; expected a number in [0, 1)");
    CHECK(refused("beta1 1") == where + "beta1 is '1'; expected a number in [0, 1)");
    CHECK(refused("beta1 x") == where + "beta1 is 'x'; expected a number in [0, 1)");
    CHECK(refused("variant plan") ==
          where + "variant is 'plan'; expected one of: amsgrad, plain; did you mean 'plain'?");
    CHECK(refused("variant x") == where + "variant is 'x'; expected one of: amsgrad, plain");
    CHECK(refused("hidden 20,0") ==
          where + "hidden is '20,0'; expected whole numbers separated by commas, each >= 1");
    CHECK(refused("hidden 20,,3") ==
          where + "hidden is '20,,3'; expected whole numbers separated by commas, each >= 1");
    CHECK(refused("hidden 20,") ==
          where + "hidden is '20,'; expected whole numbers separated by commas, each >= 1");
    CHECK(refused("rates 1,0") == where + "rates is '1,0'; expected numbers separated by commas, each > 0");
    CHECK(refused("rates 1:2") == where + "rates is '1:2'; expected numbers separated by commas, each > 0");
}

TEST_CASE("options: a text with control characters, or in another encoding than UTF-8, is refused") {
    for (const std::string text : {"a\x1b[m", "w\xe4"}) {
        const std::vector<SettingText> given{{.key = "label", .text = text, .origin = {.file = "l.info"}}};
        CHECK(refusal([&] { (void)resolve_options(every_type(), given, kAdam); }) ==
              "2 l.info: " + kAdam.path + ".label is '" + text +
                  "'; expected a text without control characters");
    }
}

TEST_CASE("options: a bound excludes itself exactly where its flag says so") {
    OptionSchema option{.type = L2O_OPTION_REAL, .key = "x", .def = "0.5", .min = 0, .max = 1};
    CHECK(resolve_refusal(option, "x 0") == "no error");
    CHECK(resolve_refusal(option, "x 1") == "no error");
    option.flags = L2O_OPTION_OPEN_MIN;
    CHECK(resolve_refusal(option, "x 0").ends_with("expected a number in (0, 1]"));
    CHECK(resolve_refusal(option, "x 1") == "no error");
    option.flags = L2O_OPTION_OPEN_MIN | L2O_OPTION_OPEN_MAX;
    CHECK(resolve_refusal(option, "x 1").ends_with("expected a number in (0, 1)"));
    option.max = INFINITY;
    CHECK(resolve_refusal(option, "x 0").ends_with("expected a number > 0"));
    CHECK(resolve_refusal(option, "x inf").ends_with("expected a number > 0"));
    option.type = L2O_OPTION_INT;
    option.def = "1";
    CHECK(resolve_refusal(option, "x 0").ends_with("expected a whole number > 0"));
}

TEST_CASE("options: an empty list is a value, and no element breaks a bound") {
    const ResolvedOptions options = resolve("hidden \"\" rates \"\"");
    for (const std::size_t list : {4, 7}) CHECK(options.values()[list]->count == 0);
    CHECK(options.canonical().at("hidden") == "");
    CHECK(options.canonical().at("rates") == "");
}

TEST_CASE("options: a required option that is missing is asked for") {
    CHECK(resolve_refusal({.type = L2O_OPTION_INT, .key = "k", .min = 1}, "") ==
          "2 run.info:1: contestants.adam.optimizer.k is missing; optimizer 'adam' requires a whole number "
          ">= 1");
    CHECK(resolve_refusal({.type = L2O_OPTION_INT, .key = "k", .min = 1}, "k 3") == "no error");
}

TEST_CASE("options: a default that is no value is the plugin's fault") {
    CHECK(resolve_refusal({.type = L2O_OPTION_REAL, .key = "x", .def = "2", .max = 1}, "") ==
          "3 optimizer 'adam': the default of option 'x' is '2'; expected a number <= 1");
    CHECK(resolve_refusal({.type = 99, .key = "x", .def = "2"}, "") ==
          "3 optimizer 'adam': the default of option 'x' is '2'; expected a value of type 99, which this "
          "host does "
          "not know");
}

TEST_CASE("options: of two sources the later one counts") {
    std::vector<SettingText> given = settings("layers 3 beta1 0.5");
    for (const SettingText& weight : settings_from({{"layers", "7"}}, {.file = "w.st"}))
        given.push_back(weight);
    const ResolvedOptions options = resolve_options(every_type(), given, kAdam);
    CHECK(options.values()[1]->i == 7);
    CHECK(options.values()[2]->d == 0.5);
    CHECK(refusal([] {
              (void)resolve_options(every_type(), settings_from({{"layers", "x"}}, {.file = "w.st"}), kAdam);
          }) == "2 w.st: contestants.adam.optimizer.layers is 'x'; expected a whole number in [1, 100]");
}

TEST_CASE("options: texts that mean the same have one canonical text") {
    const auto canonical =
        resolve("amsgrad on layers 1e1 beta1 1.0e-1 hidden \" 4 ,5\" data ./a/../b rates \"1.0, 0.10\"")
            .canonical();
    CHECK(canonical == std::map<std::string, std::string>{{"amsgrad", "true"},
                                                          {"layers", "10"},
                                                          {"beta1", "0.1"},
                                                          {"variant", "plain"},
                                                          {"hidden", "4,5"},
                                                          {"data", "/exp/b"},
                                                          {"label", "a, b"},
                                                          {"rates", "1,0.1"}});
}

TEST_CASE("options: JSON keeps the types, and reads back to the same options") {
    const ResolvedOptions options = resolve(
        "amsgrad on layers 10 beta1 0.1 variant amsgrad hidden 4,5 data \"b \\\"c\" label 7 rates 1,0.5");
    const nlohmann::json json = options.to_json();
    CHECK(json == nlohmann::json{{"amsgrad", true},
                                 {"layers", 10},
                                 {"beta1", 0.1},
                                 {"variant", "amsgrad"},
                                 {"hidden", {4, 5}},
                                 {"data", "/exp/b \"c"},
                                 {"label", "7"},
                                 {"rates", {1.0, 0.5}}});
    for (const double beta1 : {0.0, 1.0 / 3.0, 1e-300, 0.1 + 0.2}) {
        std::vector<SettingText> given =
            settings_from({{"beta1", nlohmann::json(beta1).dump()}}, {.file = "w.st"});
        const ResolvedOptions written = resolve_options(every_type(), given, kAdam);
        const auto texts = options_from_text(written.to_json().dump(), "w.st: l2o.options");
        const ResolvedOptions read =
            resolve_options(every_type(), settings_from(texts, {.file = "w.st"}), kAdam);
        CHECK(read.canonical() == written.canonical());
        CHECK(read.values()[2]->d == beta1);
    }
    for (const char* const rates : {"", "1", "1,0.5", "0.3333333333333333,1e-300"}) {
        const ResolvedOptions written =
            resolve_options(every_type(), settings_from({{"rates", rates}}, {.file = "w.st"}), kAdam);
        CHECK(written.canonical().at("rates") == rates);
        CHECK(options_from_json(written.to_json(), "w.st").at("rates") == rates);
    }
}

TEST_CASE("options: JSON that is no set of options is refused") {
    const auto refused = [](const std::string& text) {
        return refusal([&] { (void)options_from_text(text, "w.st: l2o.options"); });
    };
    CHECK(refused(R"({"a": 1, "a": 2})") ==
          R"(2 w.st: l2o.options is '{"a": 1, "a": 2}', which has "a" twice; expected distinct keys)");
    CHECK(refused(std::string(1'000'000, '['))
              .ends_with("', which is nested too deep; expected an object of plain values and lists"));
    CHECK(refused("[1]") == "2 w.st: l2o.options is '[1]'; expected an object of options");
    const std::string expected = "'; expected a number, a text, true, false or a list of numbers";
    CHECK(refused(R"({"a": {}})") == "2 w.st: l2o.options: option 'a' is '{}" + expected);
    CHECK(refused(R"({"a": [true]})") == "2 w.st: l2o.options: option 'a' is '[true]" + expected);
    CHECK(refused(R"({"a": null})") == "2 w.st: l2o.options: option 'a' is 'null" + expected);
}

TEST_CASE("options: a path that is not UTF-8 is refused, since files keep it as JSON") {
    const std::vector<SettingText> given{
        {.key = "data", .text = "A", .origin = {.file = "l.info", .line = 3, .folder = "/d_\xe4"}}};
    CHECK(refusal([&] { (void)resolve_options(every_type(), given, kAdam); }) ==
          "2 l.info:3: " + kAdam.path +
              ".data is '/d_\xe4/A': byte 3 is 0xe4, which is not UTF-8; rename the folder "
              "or the file");
}

TEST_CASE("options: a schema copies what the plugin's table points to") {
    const char* const choices[] = {"drop", "exact", nullptr};
    l2o_option option{};
    option.struct_size = sizeof(l2o_option);
    option.type = L2O_OPTION_CHOICE;
    option.key = "second_order";
    option.doc = "what to do with H";
    option.def = "drop";
    option.min = -INFINITY;
    option.max = INFINITY;
    option.choices = choices;
    const OptionSchema schema = option_schema(option);
    CHECK(schema.type == L2O_OPTION_CHOICE);
    CHECK(schema.key == "second_order");
    CHECK(schema.doc == "what to do with H");
    CHECK(schema.def == "drop");
    CHECK(schema.choices == std::vector<std::string>{"drop", "exact"});
    CHECK(expected_value(schema) == "one of: drop, exact");

    option.def = nullptr;
    CHECK_FALSE(option_schema(option).def);
    option.def = "drop";
    option.flags = L2O_OPTION_REQUIRED;
    CHECK_FALSE(option_schema(option).def);
}

TEST_CASE("shell_word: a shell reads back what it was given, and a plain word stays plain") {
    CHECK(shell_word("/a/b-1.c") == "/a/b-1.c");
    CHECK(shell_word("") == "''");
    CHECK(shell_word("/my runs/a") == "'/my runs/a'");
    CHECK(shell_word("it's $HOME") == "'it'\\''s $HOME'");
    CHECK(shell_word("a\nb'\\") == "$'a\\012b\\'\\\\'");
}
