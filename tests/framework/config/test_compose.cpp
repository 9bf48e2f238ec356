#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "framework/config/compose.hpp"
#include "framework/config/config.hpp"
#include "framework/config/info_file.hpp"
#include "refusal.hpp"

using namespace l2o::framework;
using l2o::test::refusal;

namespace {

std::string composed(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return to_info(Config::parse(text, "run.info", overrides).tree());
}

/// The second text laid over the first, as over a file that it includes.
ConfigNode laid_over(const std::string& base, const std::string& overlay) {
    ConfigNode tree = parse_info(base, "base.info");
    merge_section(tree, parse_info(overlay, "run.info"));
    return tree;
}

}  // namespace

TEST_CASE("compose: a setting laid over another wins, at the place of the first") {
    CHECK(to_info(laid_over("s { a 1 b 2 }\n", "s { a 3 }\n")) == "s {\n    a 3\n    b 2\n}\n");
    CHECK(to_info(laid_over("s { a 1 }\n", "s { a \"\" }\n")) == "s {\n    a \"\"\n}\n");
    CHECK(laid_over("s { a 1 }", "\ns { a 3 }\n").find("s")->find("a")->origin.text() == "run.info:2");
}

TEST_CASE("compose: a setting given twice in one section is a mistake, and refused") {
    CHECK(refusal([] { (void)composed("s {\na 1\nb 2\na 3\n}\n"); }) ==
          "2 run.info:4: 'a' was given already, in line 2; remove one of them");
}

TEST_CASE("compose: sections merge key by key, at every depth") {
    CHECK(to_info(laid_over("s { a 1 t { b 2 c 3 } }\n", "s { t { c 4 d 5 } e 6 }\n")) ==
          "s {\n    a 1\n    t {\n        b 2\n        c 4\n        d 5\n    }\n    e 6\n}\n");
    CHECK(to_info(laid_over("s 1 { a 1 }\n", "s { b 2 }\n")) == "s 1 {\n    a 1\n    b 2\n}\n");
}

TEST_CASE("compose: another plugin in `use` drops the options of the one before") {
    CHECK(to_info(laid_over("o { use adam lr 1 sub { x 1 } }\n", "o { use sgd momentum 0 }\n")) ==
          "o {\n    use sgd\n    momentum 0\n}\n");
    CHECK(to_info(laid_over("o { use adam lr 1 }\n", "o { momentum 0 use sgd }\n")) ==
          "o {\n    momentum 0\n    use sgd\n}\n");
}

TEST_CASE("compose: the same plugin in `use`, or a first one, keeps the options") {
    CHECK(to_info(laid_over("o { use adam lr 1 }\n", "o { use adam beta1 0 }\n")) ==
          "o {\n    use adam\n    lr 1\n    beta1 0\n}\n");
    CHECK(to_info(laid_over("o { lr 1 }\n", "o { use adam }\n")) == "o {\n    lr 1\n    use adam\n}\n");
}

TEST_CASE("compose: `use` drops its own section only") {
    CHECK(to_info(laid_over("c { o { use adam lr 1 } keep 1 }\n", "c { o { use sgd } }\n")) ==
          "c {\n    o {\n        use sgd\n    }\n    keep 1\n}\n");
}

TEST_CASE("overrides: a path sets an existing leaf and creates a missing one") {
    CHECK(composed("s { a 1 }\n", {"s.a=2", "s.t.b=3", "c=4"}) ==
          "s {\n    a 2\n    t {\n        b 3\n    }\n}\nc 4\n");
}

TEST_CASE("overrides: only the first '=' divides, and a value may be empty") {
    CHECK(composed("", {"a=b=c=", "d=", "e= f"}) == "a \"b=c=\"\nd \"\"\ne \" f\"\n");
}

TEST_CASE("overrides: one that is given twice is refused with both values") {
    CHECK(refusal([] {
              (void)composed("a { b 1 }\n", {"a.b=2", "c=1", "a.b=3"});
          }) == "2 --set: a.b is given twice, '2' and '3'; expected one of them");
}

TEST_CASE("overrides: another `use` drops the file's options, never another override") {
    CHECK(composed("o { use adam lr 1 beta1 0 }\n", {"o.lr=5", "o.use=sgd"}) ==
          "o {\n    lr 5\n    use sgd\n}\n");
    CHECK(composed("o { use adam lr 1 beta1 0 }\n", {"o.use=sgd", "o.lr=5"}) ==
          "o {\n    use sgd\n    lr 5\n}\n");
}

TEST_CASE("overrides: another version of the plugin keeps the file's options") {
    CHECK(composed("o { use adam lr 1 }\n", {"o.use=adam@1.0.0"}) ==
          "o {\n    use \"adam@1.0.0\"\n    lr 1\n}\n");
    CHECK(composed("o { use adam@1.0.0 lr 1 }\n", {"o.use=adam@2.0.0"}) ==
          "o {\n    use \"adam@2.0.0\"\n    lr 1\n}\n");
    CHECK(composed("o { use adam@1.0.0 lr 1 }\n", {"o.use=sgd@1.0.0"}) == "o {\n    use \"sgd@1.0.0\"\n}\n");
}

TEST_CASE("overrides: they are their own origin, and refer to the working folder") {
    const Config config = Config::parse("s { a 1 }\n", "dir/run.info", {"s.a=2"});
    const Origin& origin = config.tree().find("s")->find("a")->origin;
    CHECK(origin.text() == "--set");
    CHECK(origin.folder == std::filesystem::current_path());
    CHECK(config.tree().find("s")->origin.text() == "dir/run.info:1");
}

TEST_CASE("overrides: another form is refused with the form that is expected") {
    const auto refused = [](const std::string& text) { return refusal([&] { (void)composed("", {text}); }); };
    const std::string expected = "; expected 'key.path=value', such as 'train.epochs=10'";
    CHECK(refused("train.epochs") == "2 --set 'train.epochs': there is no '='" + expected);
    CHECK(refused("") == "2 --set '': there is no '='" + expected);
    CHECK(refused("=5") == "2 --set '=5': a key is empty" + expected);
    CHECK(refused("a..b=5") == "2 --set 'a..b=5': a key is empty" + expected);
    CHECK(refused(".b=5") == "2 --set '.b=5': a key is empty" + expected);
    CHECK(refused("a.=5") == "2 --set 'a.=5': a key is empty" + expected);
    CHECK(refused("#include=x") == "2 --set '#include=x': the key '#include' starts with '#'" + expected);
}

TEST_CASE("overrides: an empty value in the place of a section is refused with what the section has") {
    const std::string text =
        "contestants { fista { use fista } lista { use lista } }\ns { a { sweep 1 } b 2 }\n";
    const auto refused = [&](const std::vector<std::string>& overrides) {
        return refusal([&] { (void)composed(text, overrides); });
    };
    const std::string expected =
        "2 --set: contestants is empty, and stands for a section; expected 'contestants.KEY=VALUE', KEY one "
        "of: "
        "fista, lista";
    CHECK(refused({"contestants="}) == expected);
    CHECK(refused({"contestants=", "contestants.lista.use=ista"}) == expected);
    CHECK(refused({"contestants.lista="}) ==
          "2 --set: contestants.lista is empty, and stands for a section; expected "
          "'contestants.lista.KEY=VALUE', "
          "KEY one of: use");
    CHECK(refused({"s.a=", "s.b=", "s.c="}) == "no error");
}
