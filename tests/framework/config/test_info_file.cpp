#include <doctest/doctest.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "framework/config/info_file.hpp"
#include "framework/config/section.hpp"
#include "refusal.hpp"

using namespace l2o::framework;
using l2o::test::refusal;
namespace fs = std::filesystem;

namespace {

class Folder {
  public:
    Folder() : path_(fs::temp_directory_path() / ("l2o_info_file_" + std::to_string(::getpid()))) {
        fs::remove_all(path_);
        fs::create_directories(path_);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }

    fs::path write(const std::string& name, const std::string& text) const {
        fs::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name) << text;
        return path_ / name;
    }
    [[nodiscard]] std::string name(const std::string& file) const { return (path_ / file).string(); }
    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string parse_refusal(const std::string& text) {
    return refusal([&] { (void)parse_info(text, "run.info"); });
}

bool same_settings(const ConfigNode& a, const ConfigNode& b) {
    if (a.key != b.key || a.value != b.value || a.children.size() != b.children.size()) return false;
    for (std::size_t i = 0; i < a.children.size(); ++i) {
        if (!same_settings(a.children[i], b.children[i])) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("info: settings, sections, strings, comments and several settings on a line are read") {
    const ConfigNode root = parse_info(
        "seed 7 ; a comment\n"
        "name \"two words; \\\"quoted\\\"\"\n"
        "train { epochs 10 batch 4 }\n"
        "long \"one \" \\\n   \"two\"\n"
        "flag\n"
        "both 1 { inner 2 }\n",
        "run.info");
    CHECK(to_info(root) ==
          "seed 7\n"
          "name \"two words; \\\"quoted\\\"\"\n"
          "train {\n    epochs 10\n    batch 4\n}\n"
          "long \"one two\"\n"
          "flag \"\"\n"
          "both 1 {\n    inner 2\n}\n");
}

TEST_CASE("info: every setting knows its file and line") {
    const ConfigNode root = parse_info(
        "a 1 b 2\n\n; c\nlong \"x\" \\\n \"y\"\nd {\n  e 5\n}\n\"f g\"\n  { h 1 }\r\ni 1", "dir/run.info");
    CHECK(root.find("a")->origin.text() == "dir/run.info:1");
    CHECK(root.find("b")->origin.text() == "dir/run.info:1");
    CHECK(root.find("long")->origin.text() == "dir/run.info:4");
    CHECK(root.find("d")->origin.text() == "dir/run.info:6");
    CHECK(root.find("d")->find("e")->origin.text() == "dir/run.info:7");
    CHECK(root.find("f g")->find("h")->origin.text() == "dir/run.info:10");
    CHECK(root.find("i")->origin.text() == "dir/run.info:11");
    CHECK(root.find("i")->origin.folder == fs::current_path() / "dir");
}

TEST_CASE("info: a byte order mark is no part of the first key") {
    CHECK(to_info(parse_info("\xEF\xBB\xBFseed 7", "run.info")) == "seed 7\n");
}

TEST_CASE("info: faults of syntax name file and line") {
    CHECK(parse_refusal("a 1\n}\n") ==
          "2 run.info:2: unmatched }; expected settings 'key value' and sections 'key { ... }'");
    CHECK(parse_refusal("a 1\nb \"no end\n") ==
          "2 run.info:2: a string does not end on its line; expected '\"', and '\\\"' for one that is part "
          "of it");
    CHECK(parse_refusal("a {\n b {\n }\n") ==
          "2 run.info:1: this '{' is never closed; expected a '}' after its settings");
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += "a {\n";
    CHECK(parse_refusal(deep) ==
          "2 run.info:101: sections are nested more than 100 deep; expected fewer, is a '}' missing?");
    CHECK(parse_refusal("\n# a comment\n") ==
          "2 run.info:2: '#' is no directive; expected '#include \"file.info\"', or ';' before a comment");
    for (const char* text : {"a 1\nname = b\n", "a 1\nname= b\n", "a 1 c = 2\n"})
        CHECK(parse_refusal(text).find(
                  "'=' stands behind a key; expected 'key value' without it, or the '=' in quotes") !=
              std::string::npos);
    CHECK(parse_refusal("a 1\nname = b\n").starts_with("2 run.info:2: "));
    CHECK(to_info(parse_info("name \"=\"\nab=2 3\n", "run.info")).find("name \"=\"\n") == 0);
    CHECK(parse_refusal("a { lr 1e-3}\n") ==
          "2 run.info:1: a brace is part of the word '1e-3}'; expected blanks round braces, or the word in "
          "quotes");
    CHECK(parse_refusal("a{\n}\n") ==
          "2 run.info:1: a brace is part of the word 'a{'; expected blanks round braces, or the word in "
          "quotes");
    CHECK(parse_refusal("a 1\ntrain.epochs 5\n") ==
          "2 run.info:2: the key 'train.epochs' contains a dot; expected a plain name, sections like 'key { "
          "... }'");
    CHECK(parse_refusal("\"\" 5\n") ==
          "2 run.info:1: a key is empty; expected a plain name, sections like 'key { ... }'");
    CHECK(parse_refusal("a \"1\" \\\n#include \"b.info\"\n") ==
          "2 run.info:2: expected '\"' after the '\\' of the previous line");
}

TEST_CASE("info: a brace inside quotes, a comment or a string over two lines is no brace") {
    CHECK(to_info(parse_info("a \"}\" ; {\nb \"{\" \\\n\"x}\"\n\"k{\" 1 c;{\n", "run.info")) ==
          "a \"}\"\nb \"{x}\"\n\"k{\" 1\nc \"\"\n");
}

TEST_CASE("info: an include is relative to the file that has it, and stands at its place") {
    const Folder folder;
    folder.write("parts/deep/lr.info", "lr 0.1\n");
    folder.write("parts/adam.info", "use adam\nbeta1 0.9\n#include \"deep/lr.info\" ; nested\n");
    const fs::path run = folder.write(
        "run.info", "a 1\noptimizer {\n  beta1 0.5\n  #include \"parts/adam.info\"\n  lr 0.2\n}\n");
    const ConfigNode root = read_info(run);
    CHECK(to_info(root) == "a 1\noptimizer {\n    beta1 0.9\n    use adam\n    lr 0.2\n}\n");
    CHECK(root.find("optimizer")->find("beta1")->origin.text() == folder.name("parts/adam.info") + ":2");
    CHECK(root.find("optimizer")->find("beta1")->origin.folder == folder.path() / "parts");
    CHECK(root.find("optimizer")->find("lr")->origin.text() == folder.name("run.info") + ":5");
}

TEST_CASE("info: a file may be included twice, but not by itself") {
    const Folder folder;
    folder.write("part.info", "x 1\n");
    CHECK(to_info(read_info(folder.write(
              "twice.info", "a { \n#include \"part.info\"\n}\nb {\n#include \"part.info\"\n}\n"))) ==
          "a {\n    x 1\n}\nb {\n    x 1\n}\n");

    folder.write("sub/b.info", "y 1\n#include \"../a.info\"\n");
    const fs::path a = folder.write("a.info", "#include \"sub/b.info\"\n");
    CHECK(refusal([&] { (void)read_info(a); }) ==
          "2 " + folder.name("sub/b.info") + ":2: the includes form a cycle: '" + folder.name("a.info") +
              "' includes '" + folder.name("sub/b.info") + "' includes '" + folder.name("a.info") +
              "'; remove one of them");
}

TEST_CASE("info: a file that cannot be read is named, with the one that includes it") {
    const Folder folder;
    CHECK(refusal([&] { (void)read_info(folder.path() / "none.info"); }) ==
          "5 cannot read the configuration '" + folder.name("none.info") +
              "'; expected a file in INFO format (" + folder.name("none.info") +
              ": cannot open: No such file or directory; check the path and its permissions)");
    CHECK(refusal([&] { (void)read_info(folder.path()); }) ==
          "5 cannot read the configuration '" + folder.path().string() +
              "'; expected a file in INFO format (" + folder.path().string() +
              ": is a folder; expected a file)");
    CHECK(refusal([&] {
              (void)read_info("/dev/zero");
          }).ends_with("(/dev/zero: is a device; expected a file)"));
    const fs::path run = folder.write("run.info", "\n#include \"parts/none.info\"\n");
    CHECK(refusal([&] { (void)read_info(run); }) ==
          "5 " + folder.name("run.info") + ":2: cannot read the included file '" +
              folder.name("parts/none.info") + "'; expected a path relative to the folder of '" +
              folder.name("run.info") + "' (" + folder.name("parts/none.info") +
              ": cannot open: No such file or directory; check the path and its permissions)");
}

TEST_CASE("info: an include line has one file in quotes and no section") {
    const std::string expected =
        "2 run.info:1: expected '#include \"file.info\"' and nothing else on the line";
    CHECK(parse_refusal("#include other.info\n") == expected);
    CHECK(parse_refusal("#include\n") == expected);
    CHECK(parse_refusal("#include \"a.info\" b 1\n") == expected);
    CHECK(parse_refusal("#include \"a.info\"\n{ b 1 }\n") ==
          "2 run.info:1: a '{' follows '#include'; expected a key");
}

TEST_CASE("info: a fault inside an included file names that file") {
    const Folder folder;
    folder.write("bad.info", "x 1\n}\n");
    const fs::path run = folder.write("run.info", "#include \"bad.info\"\n");
    CHECK(refusal([&] {
              (void)read_info(run);
          }).starts_with("2 " + folder.name("bad.info") + ":2: unmatched }"));
}

TEST_CASE("info: what is printed reads back as the same tree, whatever the keys and values") {
    // The characters that mean something to INFO, and some that must not.
    const std::vector<std::string> alphabet{"a",
                                            "1",
                                            " ",
                                            ";",
                                            "#",
                                            "{",
                                            "}",
                                            "\"",
                                            "\\",
                                            "'",
                                            "\n",
                                            "\r",
                                            "\t",
                                            "=",
                                            ",",
                                            "/",
                                            "-",
                                            "\u00e9",
                                            "\u202e\u202c"};
    const unsigned seed = 20240607;
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const auto text = [&] {
        std::string letters;
        for (std::size_t left = below(8); left > 0; --left) letters += alphabet[below(alphabet.size())];
        return letters;
    };
    const auto grow = [&](auto&& self, ConfigNode& section, std::size_t depth) -> void {
        for (std::size_t i = below(5); i > 0; --i) {
            ConfigNode child{.key = "k" + text() + std::to_string(i), .value = text()};
            if (below(4) == 0) child.key.erase(0, 1);
            if (child.key.front() == '#' || section.find(child.key)) continue;
            if (depth > 0 && below(2) == 0) self(self, child, depth - 1);
            section.children.push_back(child);
        }
    };
    for (int round = 0; round < 2000; ++round) {
        ConfigNode root;
        grow(grow, root, 3);
        const std::string printed = to_info(root);
        CAPTURE(printed);
        REQUIRE(same_settings(parse_info(printed, "printed.info"), root));
    }
}

TEST_CASE("info: a key that a file has twice in a section is refused with both places") {
    CHECK(parse_refusal("a 1\nb 2\na 3\n") ==
          "2 run.info:3: 'a' was given already, in line 1; remove one of them");
    const std::string sections = "; remove one of them, or make them one section";
    CHECK(parse_refusal("contestants {\n adam { x 1 }\n b { }\n adam { x 2 }\n}\n") ==
          "2 run.info:4: 'adam' was given already, in line 2" + sections);
    CHECK(parse_refusal("train { epochs 1 }\ntrain { batch 2 }\n") ==
          "2 run.info:2: 'train' was given already, in line 1" + sections);
    CHECK(to_info(parse_info("a { x 1 }\nA { x 2 }\nb { x 3 }\n", "run.info")) ==
          "a {\n    x 1\n}\nA {\n    x 2\n}\nb {\n    x 3\n}\n");
}

TEST_CASE("info: what is included may be overridden, and what overrides may not be twice") {
    const Folder folder;
    folder.write("base.info", "train { epochs 1 batch 2 }\noptimizer { use adam\n beta1 0.5 }\n");
    CHECK(
        to_info(read_info(folder.write(
            "over.info", "#include \"base.info\"\noptimizer { lr 0.1\n use sgd }\ntrain { epochs 3 }\n"))) ==
        "train {\n    epochs 3\n    batch 2\n}\noptimizer {\n    lr 0.1\n    use sgd\n}\n");
    const fs::path twice =
        folder.write("twice.info", "train { epochs 3 }\n#include \"base.info\"\ntrain { epochs 4 }\n");
    CHECK(refusal([&] { (void)read_info(twice); }) ==
          "2 " + twice.string() +
              ":3: 'train' was given already, in line 1; remove one of them, or make them one section");
}

TEST_CASE("info: a backslash is an escape, joins strings over lines, or is refused") {
    CHECK(
        parse_refusal("a 1\nname \"x\" \\\n") ==
        "2 run.info:2: the text ends after a '\\'; expected a line with the rest of the string, or no '\\'");
    CHECK(parse_refusal("name \"x\" \\") == parse_refusal("name \"x\" \\\n\n; a comment\n"));
    CHECK(parse_refusal("name \"x\" \\\nseed 1\n") ==
          "2 run.info:2: expected '\"' after the '\\' of the previous line");
    CHECK(parse_refusal("name x \\\nseed 1\n") ==
          "2 run.info:1: a '\\' follows a value; expected a value in quotes, which alone goes on in the next "
          "line");
    const auto escape = [](const std::string& letter) {
        return "2 run.info:1: '\\" + letter +
               "' is no escape that is taken; expected '\\\\' for a backslash, or one of \\n \\r \\t \\\" "
               "\\'";
    };
    CHECK(parse_refusal("name x\\\n") == escape(""));
    CHECK(parse_refusal("path C:\\data\n") == escape("d"));
    CHECK(parse_refusal("path \"C:\\data\"\n") == escape("d"));
    CHECK(parse_refusal("path \"a\\0b\"\n") == escape("0"));
    CHECK(parse_refusal("path \"C:\\dir\\\"\n") == escape("d"));
    CHECK(parse_refusal("path \"dir\\\"\n") ==
          "2 run.info:1: a string does not end on its line; expected '\"', and '\\\"' for one that is part "
          "of it");
    CHECK(parse_info("path \"C:\\\\data\\\\\"", "run.info").find("path")->value == "C:\\data\\");
}

TEST_CASE("info: what is no text is refused with its line") {
    const std::string expected = "; expected a file in INFO format, in UTF-8";
    CHECK(parse_refusal("a 1\nname \"d_\xe4\"\n") ==
          "2 run.info:2: byte 8 is 0xe4, which is not UTF-8" + expected);
    CHECK(parse_refusal(std::string("a 1\0", 4)) ==
          "2 run.info:1: byte 3 is the control character 0x00" + expected);
    CHECK(parse_refusal("a 1\n\nb \x1b[2J\n") ==
          "2 run.info:3: byte 2 is the control character 0x1b" + expected);
}

TEST_CASE("info: includes are as deep together as one file may be, and not without number") {
    const Folder folder;
    std::string open, closed;
    for (int i = 0; i < 60; ++i) {
        open += "a {\n";
        closed += "}\n";
    }
    folder.write("inner.info", open + "x 1\n" + closed);
    const fs::path outer = folder.write("outer.info", open + "#include \"inner.info\"\n" + closed);
    CHECK(contains(
        refusal([&] { (void)read_info(outer); }),
        "inner.info:40: with what is included, sections are nested more than 100 deep; expected fewer"));
    // Every file includes the next one twice: 2^30 in all.
    for (int i = 0; i < 30; ++i) {
        const std::string next = "#include \"" + std::to_string(i + 1) + ".info\"\n";
        folder.write(std::to_string(i) + ".info", next + next);
    }
    folder.write("30.info", "x 1\n");
    CHECK(refusal([&] { (void)read_info(folder.path() / "0.info"); })
              .ends_with(
                  ": more than 1000 files, 100 within one another or 16 MiB are included; expected fewer"));
    for (int i = 0; i < 200; ++i)
        folder.write("c" + std::to_string(i) + ".info", "#include \"c" + std::to_string(i + 1) + ".info\"\n");
    folder.write("c200.info", "x 1\n");
    CHECK(contains(refusal([&] { (void)read_info(folder.path() / "c0.info"); }), "100 within one another"));
}

TEST_CASE("info: so many keys are read, overridden and asked for one by one") {
#ifdef __SANITIZE_ADDRESS__
    constexpr int kKeys = 30'000;
#else
    constexpr int kKeys = 300'000;  // not in the time of a test if every key is searched for among all
#endif
    const Folder folder;
    std::string text, over = "#include \"many.info\"\nsection {\n";
    for (int i = 0; i < kKeys; ++i) {
        text += "k" + std::to_string(i) + " 1\n";
        over += "k" + std::to_string(i) + " 2\n";
    }
    folder.write("many.info", "section {\n" + text + "}\n");
    const Section root(read_info(folder.write("over.info", over + "}\n")));
    const Section section = root.child("section");
    std::int64_t sum = 0;
    for (int i = 0; i < kKeys; ++i) sum += section.require_int("k" + std::to_string(i));
    CHECK(sum == 2 * kKeys);
    root.refuse_unknown();
    const std::string line = "k \"" + std::string(1'000'000, 'x') + "\"";
    CHECK(parse_info(line, "run.info").find("k")->value.size() == 1'000'000);
}

TEST_CASE("info: the canonical text forgets the order of keys and nothing else") {
    const auto canonical = [](const std::string& text) {
        return canonical_text(parse_info(text, "run.info"));
    };
    CHECK(canonical("b 1\na { d 1 c 2 }") == canonical("a { c 2 d 1 } ; comment\nb \"1\""));
    CHECK(canonical("b 1\na { d 1 c 2 }") == "a {\n    c 2\n    d 1\n}\nb 1\n");
    CHECK(canonical("a 1") != canonical("a 2"));
    CHECK(canonical("a { b 1 }") != canonical("a \"\" b 1"));
}
