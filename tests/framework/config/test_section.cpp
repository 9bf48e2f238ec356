#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/config/section.hpp"
#include "framework/config/settings.hpp"
#include "refusal.hpp"

using namespace l2o::framework;
using l2o::test::refusal;
namespace fs = std::filesystem;

namespace {

Section section(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return Config::parse(text, "run.info", overrides).root();
}

const std::vector<std::string> kSchedules{"flat", "layerwise", "curriculum"};

}  // namespace

TEST_CASE("section: each type is read from its text") {
    const Section root = section(
        "i -5 big 1e6 r 1e-3 yes yes off off s \"two words\" c layerwise b 4GiB half 1.5KiB plain 512 dec "
        "2MB\n");
    CHECK(root.get_int("i", 0) == -5);
    CHECK(root.require_int("big") == 1'000'000);
    CHECK(root.get_real("r", 0) == 1e-3);
    CHECK(root.get_real("i", 0) == -5);
    CHECK(root.get_bool("yes", false));
    CHECK_FALSE(root.require_bool("off"));
    CHECK(root.get_string("s", "") == "two words");
    CHECK(root.require_choice("c", kSchedules) == "layerwise");
    CHECK(root.get_bytes("b", 0) == std::uint64_t{4} << 30);
    CHECK(root.get_bytes("half", 0) == 1536);
    CHECK(root.get_bytes("plain", 0) == 512);
    CHECK(root.require_bytes("dec") == 2'000'000);
}

TEST_CASE("section: what is not written has its default, in a section that is not written as well") {
    const Section root = section("");
    const Section train = root.child("train").child("deeper");
    for (const Section& where : {root, train}) {
        CHECK(where.get_int("x", 3) == 3);
        CHECK(where.get_real("x", 0.5) == 0.5);
        CHECK(where.get_bool("x", true));
        CHECK(where.get_string("x", "d") == "d");
        CHECK(where.get_choice("x", "flat", kSchedules) == "flat");
        CHECK(where.get_bytes("x", 7) == 7);
        CHECK(where.get_path("x", "p") == "p");
        CHECK_FALSE(where.has("x"));
        CHECK(where.children().empty());
        CHECK(where.rest().empty());
        where.refuse_unknown();
    }
}

TEST_CASE("section: a value of the wrong type names the place, the text and what was expected") {
    const Section train = section("train {\n x -1.5\n s { a 1 }\n empty \"\"\n}\n").child("train");
    const std::string found = "2 run.info:2: train.x is '-1.5'; expected ";
    CHECK(refusal([&] { train.get_int("x", 0); }) == found + "a whole number");
    CHECK(refusal([&] { train.get_real("x", 0, {.min = 0, .open_min = true}); }) == found + "a number > 0");
    CHECK(refusal([&] { train.get_bool("x", false); }) == found + "true or false");
    CHECK(refusal([&] { train.get_choice("x", "flat", kSchedules); }) ==
          found + "one of: flat, layerwise, curriculum");
    CHECK(refusal([&] { train.get_bytes("x", 0); }) ==
          found + "a size such as '512MiB', or a number of bytes");
    CHECK(refusal([&] { train.get_int("s", 0); }) ==
          "2 run.info:3: train.s is a section; expected a whole number");
    CHECK(refusal([&] { train.get_path("s", ""); }) == "2 run.info:3: train.s is a section; expected a path");
    CHECK(refusal([&] { (void)train.child("x"); }) ==
          "2 run.info:2: train.x is '-1.5'; expected a section 'x { ... }'");
    CHECK(refusal([&] { train.require_path("empty"); }) ==
          "2 run.info:4: train.empty is ''; expected a path");
    CHECK(refusal([&] { train.require_string("empty"); }) ==
          "2 run.info:4: train.empty is ''; expected a text that is not empty");
}

TEST_CASE("section: a missing setting that is required names its section's place") {
    const Section train = section("\ntrain { a 1 }\n").child("train");
    const std::string missing = "2 run.info:2: train.x is missing; expected ";
    CHECK(refusal([&] { train.require_int("x", {.min = 1}); }) == missing + "a whole number >= 1");
    CHECK(refusal([&] { train.require_real("x"); }) == missing + "a number");
    CHECK(refusal([&] { train.require_bool("x"); }) == missing + "true or false");
    CHECK(refusal([&] { train.require_string("x"); }) == missing + "a text that is not empty");
    CHECK(refusal([&] { train.require_choice("x", kSchedules); }) ==
          missing + "one of: flat, layerwise, curriculum");
    CHECK(refusal([&] { train.require_bytes("x"); }) ==
          missing + "a size such as '512MiB', or a number of bytes");
    CHECK(refusal([&] { train.require_path("x"); }) == missing + "a path");
    CHECK(refusal([&] { section("").child("train").require_int("x"); }) ==
          "2 run.info: train.x is missing; expected a whole number");
}

TEST_CASE("section: each kind of bound holds, and is shown") {
    const Section root = section("zero 0 one 1\n");
    const auto real = [&](const char* key, const Range& range) {
        return refusal([&] { root.get_real(key, 0, range); });
    };
    CHECK(real("zero", {.min = 0, .max = 1}) == "no error");
    CHECK(real("one", {.min = 0, .max = 1}) == "no error");
    CHECK(real("one", {.min = 0, .max = 1, .open_max = true}) ==
          "2 run.info:1: one is '1'; expected a number in [0, 1)");
    CHECK(real("zero", {.min = 0, .max = 1, .open_min = true}) ==
          "2 run.info:1: zero is '0'; expected a number in (0, 1]");
    CHECK(real("zero", {.min = 0.5}) == "2 run.info:1: zero is '0'; expected a number >= 0.5");
    CHECK(real("one", {.max = 0.5}) == "2 run.info:1: one is '1'; expected a number <= 0.5");
    CHECK(real("one", {.max = 1, .open_max = true}) == "2 run.info:1: one is '1'; expected a number < 1");
    CHECK(refusal([&] { root.get_int("zero", 1, {.min = 1, .max = 9}); }) ==
          "2 run.info:1: zero is '0'; expected a whole number in [1, 9]");
}

TEST_CASE("section: texts that only begin like a number are none") {
    for (const char* text : {"1x", "x1", "0x10", "nan", "inf", "-inf", "1e999", "1 2", "--1", "1,5", ""}) {
        CAPTURE(text);
        const Section root = section(std::string("x \"") + text + "\"\n");
        CHECK(refusal([&] { root.get_int("x", 0); }) != "no error");
        CHECK(refusal([&] { root.get_real("x", 0); }) != "no error");
    }
    for (const char* text : {"1.5", "9223372036854775808", "1e300"}) {
        CAPTURE(text);
        CHECK(refusal([&] { section(std::string("x ") + text).get_int("x", 0); }) != "no error");
    }
    CHECK(section("x 9223372036854775807").get_int("x", 0) == std::numeric_limits<std::int64_t>::max());
    CHECK(refusal([&] { section("x 9223372036854775808").get_int("x", 0, {.min = 1}); }) ==
          "2 run.info:1: x is '9223372036854775808'; expected a whole number >= 1 and at most "
          "9223372036854775807");
    CHECK(refusal([&] { section("x 9223372036854775808").get_int("x", 1, {.min = 1, .max = 9}); }) ==
          "2 run.info:1: x is '9223372036854775808'; expected a whole number in [1, 9]");
    for (const char* text : {"4G", "-1", "GiB", "1e30", "4 Gib", ""}) {
        CAPTURE(text);
        CHECK(refusal([&] { section(std::string("x \"") + text + "\"").get_bytes("x", 0); }) != "no error");
    }
    CHECK(refusal([&] { section("x TRUE").get_bool("x", false); }) != "no error");
}

TEST_CASE("section: a wrong choice is answered with the nearest one") {
    CHECK(refusal([] { section("s layrwise").get_choice("s", "flat", kSchedules); }) ==
          "2 run.info:1: s is 'layrwise'; expected one of: flat, layerwise, curriculum; did you mean "
          "'layerwise'?");
}

TEST_CASE("section: a path refers to the folder of its file, on the command line to the working folder") {
    const Section root =
        Config::parse("a ../data/w.st\nb /abs\nc x\nnone \"\"\n", "/exp/runs/run.info", {"c=y"}).root();
    CHECK(root.get_path("a", "") == "/exp/data/w.st");
    CHECK(root.require_path("b") == "/abs");
    CHECK(root.require_path("c") == fs::current_path() / "y");
    CHECK(root.get_path("none", "other").empty());
}

TEST_CASE("section: children come in file order with their paths, plain settings among them are refused") {
    const Section root = section("c {\n b { x 1 }\n a { x 2 }\n}\nd { e 1 }\n");
    const std::vector<Section> children = root.child("c").children();
    REQUIRE(children.size() == 2);
    CHECK(children[0].key() == "b");
    CHECK(children[1].path() == "c.a");
    CHECK(children[1].origin().text() == "run.info:3");
    CHECK(children[1].where("x") == "run.info:3: c.a.x");
    CHECK(children[1].get_int("x", 0) == 2);
    CHECK(refusal([&] { (void)root.child("d").children(); }) ==
          "2 run.info:5: d.e is '1'; expected a section 'e { ... }'");
}

TEST_CASE("section: the rest is what nobody asked for, and counts as known afterwards") {
    const Section root = section("use adam lr 1 weights w.st beta1 0.9\n");
    CHECK(root.require_string("use") == "adam");
    CHECK(root.has("weights"));
    const std::vector<SettingText> rest = root.rest();
    REQUIRE(rest.size() == 2);
    CHECK(rest[0].key == "lr");
    CHECK(rest[1].text == "0.9");
    CHECK(rest[1].origin.text() == "run.info:1");
    root.refuse_unknown();
    CHECK(refusal([] { (void)section("s { a 1 }").rest(); }) ==
          "2 run.info:1: s is a section; expected a value");
}

TEST_CASE("section: a setting nobody asked for is refused with the nearest known one") {
    const Section root = section("train {\n epoch 5\n}\n");
    const Section train = root.child("train");
    train.get_int("epochs", 1);
    train.get_int("batch", 1);
    CHECK(refusal([&] { root.refuse_unknown(); }) ==
          "2 run.info:2: unknown key 'train.epoch'; did you mean 'epochs'? known: batch, epochs");
    CHECK(refusal([] {
              const Section overridden = section("", {"sed=5"});
              overridden.get_int("seed", 0);
              overridden.refuse_unknown();
          }) == "2 --set: unknown key 'sed'; did you mean 'seed'? known: seed");
}

TEST_CASE("section: a section nobody opened and a section under a plain setting are refused") {
    CHECK(refusal([] { section("train { epochs 5 }").refuse_unknown(); }) ==
          "2 run.info:1: unknown key 'train'");
    const Section root = section("train {\n}\nnested {\n deep {\n x 1\n }\n}\n");
    (void)root.child("train");
    (void)root.child("nested").child("deep");
    CHECK(refusal([&] { root.refuse_unknown(); }) == "2 run.info:5: unknown key 'nested.deep.x'");
    CHECK(refusal([&] { root.child("nested").child("deep").refuse_unknown(); }) ==
          "2 run.info:5: unknown key 'nested.deep.x'");
    root.child("nested").child("deep").get_int("x", 0);
    root.refuse_unknown();
}

TEST_CASE("section: a view outlives its configuration") {
    const Section train = Config::parse("train { epochs 5 }", "run.info").root().child("train");
    CHECK(train.get_int("epochs", 0) == 5);
}

namespace {

/// What a section `train` may hold here.
SectionSchema some_schema() {
    return {.key = "train",
            .options = {{.type = L2O_OPTION_INT, .key = "epochs", .def = "7", .min = 1, .max = 9},
                        {.type = L2O_OPTION_REAL, .key = "target", .def = ""},
                        {.type = L2O_OPTION_CHOICE, .key = "schedule", .def = "flat", .choices = kSchedules},
                        {.type = kOptionBytes, .key = "memory", .def = "1KiB"},
                        {.type = L2O_OPTION_BOOL, .key = "restore", .def = "true"}},
            .sections = {{.key = "factors",
                          .options = {{.type = L2O_OPTION_REAL, .key = kAnyKey, .def = "1", .min = 0}},
                          .nests = true},
                         {.key = "loss", .plugin = "loss"}}};
}

}  // namespace

TEST_CASE("settings: defaults, ranges and choices are those of the schema") {
    const SectionSchema schema = some_schema();
    const Settings absent(section("").child("train"), schema);
    CHECK(absent.get_int("epochs") == 7);
    CHECK(absent.get_int("epochs", 8) == 8);
    CHECK_FALSE(absent.find_real("target").has_value());
    CHECK(absent.get_choice<int>("schedule") == 0);
    CHECK(absent.get_choice<int>("schedule", 2) == 2);
    CHECK(absent.get_bytes("memory") == 1024);
    CHECK(absent.get_bool("restore"));
    CHECK_FALSE(absent.has("loss"));

    const Section root =
        section("train { epochs 10 target 0.5 schedule curriculum factors { a { b 2 } c -1 } }");
    const Settings given(root.child("train"), schema);
    CHECK(given.find_real("target") == 0.5);
    CHECK(given.get_choice<int>("schedule") == 2);
    CHECK(given.child("factors").nested("a").get_real("b") == 2);
    CHECK(refusal([&] { (void)given.get_int("epochs"); }) ==
          "2 run.info:1: train.epochs is '10'; expected a whole number in [1, 9]");
    CHECK(refusal([&] { (void)given.child("factors").get_real("c"); }) ==
          "2 run.info:1: train.factors.c is '-1'; expected a number >= 0");
}

TEST_CASE("settings: what the schema does not have cannot be asked for") {
    const SectionSchema schema = some_schema();
    const Settings settings(section("train { batch 3 }").child("train"), schema);
    CHECK_THROWS_WITH_AS(
        settings.get_int("batch"), "the schema of section 'train' has no 'batch'", std::logic_error);
    CHECK_THROWS_AS((void)settings.child("stages"), std::logic_error);
    CHECK_THROWS_AS((void)settings.plugin("factors"), std::logic_error);
    CHECK_THROWS_AS((void)settings.nested("loss"), std::logic_error);
    CHECK(expected_value(schema.option("memory")) == "a size such as '512MiB', or a number of bytes");
}
