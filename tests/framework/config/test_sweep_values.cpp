#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/config/info_file.hpp"
#include "framework/config/sweep_values.hpp"
#include "framework/config/value_text.hpp"
#include "refusal.hpp"

using namespace l2o::framework;
using l2o::test::refusal;
using Texts = std::vector<std::string>;

namespace {

/// What a file has in the place of a value.
Texts written(const std::string& list) {
    const ConfigNode tree = parse_info("a { " + list + " }\n", "run.info");
    REQUIRE(tree.find("a")->is_sweep());
    return sweep_values(tree.find("a")->find("sweep")->value);
}

std::string expected_instead(const std::string& list) {
    try {
        (void)sweep_values(list);
    } catch (const std::invalid_argument& expected) {
        return expected.what();
    }
    return "nothing";
}

}  // namespace

TEST_CASE("sweep values: a list in a file is every word after `sweep`, with quotes or without") {
    const Texts rates{"0.003", "0.01", "0.03"};
    CHECK(written("sweep 0.003 0.01 0.03") == rates);
    CHECK(written("sweep \"0.003 0.01 0.03\"") == rates);
    CHECK(written("sweep 0.003 0.01 0.03 ; and why\n") == rates);
    CHECK(written("\n  sweep 0.003   0.01\t0.03\n") == rates);
    CHECK(written("sweep 5 5") == Texts{"5", "5"});
    CHECK(written("sweep 5") == Texts{"5"});
    CHECK(written("sweep \"a b\" \"c\\\"d\\\\\" e\\\\f") == Texts{"a b", "c\"d\\", "e\\f"});
    CHECK(written("sweep \"\" x") == Texts{"", "x"});
}

TEST_CASE("sweep values: `zip` after a list, in its line or the next, is a key of its own") {
    for (const char* list : {"sweep 1 2 3 zip pair", "sweep 1 2 3\n zip pair", "zip pair sweep \"1 2 3\""}) {
        CAPTURE(list);
        const ConfigNode tree = parse_info(std::string("a { ") + list + " }\nb 4\n", "run.info");
        CHECK(tree.find("a")->find("zip")->value == "pair");
        CHECK(sweep_values(tree.find("a")->find("sweep")->value) == Texts{"1", "2", "3"});
        CHECK(tree.find("b")->origin.line == (std::string(list).find('\n') == std::string::npos ? 2 : 3));
    }
}

TEST_CASE("sweep values: only the first key of a section is a list, and what is no list stays what it was") {
    const auto info = [](const char* text) { return to_info(parse_info(text, "run.info")); };
    CHECK(info("a { b 1 sweep 2 c 3 }\n") == "a {\n    b 1\n    sweep 2\n    c 3\n}\n");
    CHECK(info("sweep 1 b 2\n") == "sweep 1\nb 2\n");
    CHECK(info("a { sweep { b 1 } }\n") == "a {\n    sweep {\n        b 1\n    }\n}\n");
    CHECK_FALSE(parse_info("a { sweep { b 1 } }\n", "run.info").find("a")->is_sweep());
    CHECK_FALSE(parse_info("a { use x sweep 1 }\n", "run.info").find("a")->is_sweep());
}

TEST_CASE("sweep values: a list is written so that it reads back, and one of many lines has its place") {
    const ConfigNode tree = parse_info("a {\n sweep 1 \"b c\" 3\n }\n", "run.info");
    CHECK(to_info(tree) == "a {\n    sweep \"1 \\\"b c\\\" 3\"\n}\n");
    CHECK(to_info(parse_info(to_info(tree), "again.info")) == to_info(tree));
    CHECK(sweep_values(sweep_list({"b c", "d\"e\\", ""})) == Texts{"b c", "d\"e\\", ""});
    CHECK(refusal([] {
              (void)parse_info("a {\n sweep 1 2\n 0.5 4 }\n", "run.info");
          }).starts_with("2 run.info:3: the key '0.5' contains a dot"));
    CHECK(refusal([] {
              (void)parse_info("a {\n sweep 1 2}\n", "run.info");
          }).starts_with("2 run.info:2: a brace is part of the word '2}'"));
    CHECK(refusal([] {
              (void)parse_info("a { sweep 1 \"2\n }\n", "run.info");
          }).starts_with("2 run.info:1: a string does not end on its line"));
}

TEST_CASE("sweep values: a range has both ends exactly, equal ratios or steps, and six digits between") {
    const Texts rates = sweep_values("log 1e-4 1e-1 7");
    CHECK(rates == Texts{"1e-4", "0.000316228", "0.001", "0.00316228", "0.01", "0.0316228", "1e-1"});
    for (std::size_t i = 1; i < rates.size(); ++i)
        CHECK(std::stod(rates[i]) / std::stod(rates[i - 1]) == doctest::Approx(std::sqrt(10)).epsilon(1e-5));
    CHECK(sweep_values("linear 0 1 5") == Texts{"0", "0.25", "0.5", "0.75", "1"});
    CHECK(sweep_values("linear 1 -1 3") == Texts{"1", "0", "-1"});
    CHECK(sweep_values("log 5 80 5") == Texts{"5", "10", "20", "40", "80"});
    CHECK(sweep_values("log 0.123456789 3 2") == Texts{"0.123456789", "3"});
}

TEST_CASE("sweep values: words called log and linear are values where there is no number") {
    CHECK(sweep_values("linear cosine constant") == Texts{"linear", "cosine", "constant"});
    CHECK(sweep_values("constant linear") == Texts{"constant", "linear"});
}

TEST_CASE("sweep values: what is no list or range says what would be one") {
    const std::string log = "'log FROM TO COUNT' with two different numbers > 0 and a whole one in [2, 256]";
    for (const char* list : {"log 0 1 5",
                             "log 1 1 5",
                             "log 1 2",
                             "log 1 2 1",
                             "log 1 2 257",
                             "log 1 2 2.5",
                             "log 1 2 3 4",
                             "log 1 x 3",
                             "log -1 1 3"}) {
        CAPTURE(list);
        CHECK(expected_instead(list) == log);
    }
    CHECK(expected_instead("linear 0 0 5") ==
          "'linear FROM TO COUNT' with two different numbers and a whole one in [2, 256]");
    CHECK(expected_instead("") == "at least one value");
    CHECK(expected_instead("a \"b") == "a '\"' at the end of every text");
    std::string many;
    for (int i = 0; i < 257; ++i) many += std::to_string(i) + " ";
    CHECK(expected_instead(many) == "at most 256 values");
}

TEST_CASE("sweep values: of a value and a sweep of values the later one counts") {
    const auto composed = [](const std::string& text, const std::vector<std::string>& overrides) {
        return to_info(Config::parse(text, "run.info", overrides).tree());
    };
    CHECK(composed("o { rate { sweep 1 2 zip z } }\n", {"o.rate=3"}) == "o {\n    rate 3\n}\n");
    CHECK(composed("o { rate 3 }\n", {"o.rate.sweep=1 2"}) ==
          "o {\n    rate {\n        sweep \"1 2\"\n    }\n}\n");
    CHECK(composed("o { rate { sweep 1 2 zip z } }\n", {"o.rate.sweep=log 1 2 3"}) ==
          "o {\n    rate {\n        sweep \"log 1 2 3\"\n        zip z\n    }\n}\n");
}

TEST_CASE("sweep values: keys are shortened to what tells them apart") {
    CHECK(short_keys({"optimizer.rate"}) == Texts{"rate"});
    CHECK(short_keys({"optimizer.rate", "train.epochs"}) == Texts{"rate", "epochs"});
    CHECK(short_keys({"optimizer.rate", "train.meta_optimizer.rate", "train.epochs"}) ==
          Texts{"optimizer.rate", "meta_optimizer.rate", "epochs"});
    CHECK(short_keys({"train.a.rate", "safeguard.a.rate"}) == Texts{"train.a.rate", "safeguard.a.rate"});
    CHECK(short_keys({"a.b.c", "b.c", "c"}) == Texts{"a.b.c", "b.c", "c"});
}
