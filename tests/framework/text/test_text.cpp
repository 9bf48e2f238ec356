#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/table.hpp"

using namespace l2o::framework;
using namespace std::string_literals;

TEST_CASE("text: what is no text is told with its place") {
    CHECK(text_fault("plain\ttext\r\nof l\u00f6we, \u4e2d and \U0001F600") == "");
    CHECK(text_fault("d_\xe4") == "byte 2 is 0xe4, which is not UTF-8");
    CHECK(text_fault("a\0b"s) == "byte 1 is the control character 0x00");
    CHECK(text_fault("\x1b[2J") == "byte 0 is the control character 0x1b");
    CHECK(text_fault("x\x7f") == "byte 1 is the control character 0x7f");
    CHECK(text_fault("x\u009b") == "byte 1 is the control character 0x9b");
}

TEST_CASE("text: only well-formed UTF-8 stays as it is") {
    const std::string well = "a\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff";
    CHECK(valid_utf8(well) == well);
    // Overlong, a surrogate, beyond the last character, cut off, a lone continuation.
    CHECK(valid_utf8("\xc0\x80") == "\\xc0\\x80");
    CHECK(valid_utf8("\xe0\x9f\xbf") == "\\xe0\\x9f\\xbf");
    CHECK(valid_utf8("\xed\xa0\x80") == "\\xed\\xa0\\x80");
    CHECK(valid_utf8("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
    CHECK(valid_utf8("\xe4\xb8") == "\\xe4\\xb8");
    CHECK(valid_utf8("\x80 ok") == "\\x80 ok");
}

TEST_CASE("text: nothing that controls a terminal is printed") {
    CHECK(printable("a\x1b[31mred\x07\b\0"s) == "a\\x1b[31mred\\x07\\x08\\x00");
    CHECK(printable("over\rwritten") == "over\\rwritten");
    CHECK(printable("\x7f \u009b2J") == "\\u007f \\u009b2J");
    CHECK(printable("abc\u202edef\u202c \u2066g\u2069 \u200f") ==
          "abc\\u202edef\\u202c \\u2066g\\u2069 \\u200f");
    CHECK(printable("\xff\xfe") == "\\xff\\xfe");
    CHECK(printable("two\nlines\tand l\u00f6we \u4e2d") == "two\nlines\tand l\u00f6we \u4e2d");
    CHECK(one_line("two\nlines\tof text") == "two\\nlines\\tof text");
    const std::string hebrew = "\u05e9\u05dc\u05d5\u05dd";
    CHECK(one_line(hebrew) == hebrew);
}

TEST_CASE("text: columns are those of a terminal, and a cut says so") {
    CHECK(width_of("l\u00f6we") == 4);
    CHECK(width_of("\u4e2d\u6587") == 4);
    CHECK(width_of("e\u0301") == 1);
    CHECK(cut_to("l\u00f6we", 4) == "l\u00f6we");
    CHECK(cut_to("l\u00f6wenzahn", 6) == "l\u00f6w...");
    CHECK(cut_to("\u4e2d\u6587\u4e2d\u6587", 6) == "\u4e2d...");
    CHECK(cut_to("abcdef", 2) == "..");
    CHECK(cut_to("abcdef", 0) == "");
}

TEST_CASE("text: words are broken into lines, a long one stays whole") {
    CHECK(wrapped("one two three", "> ", "  ", 9) == "> one two\n  three\n");
    CHECK(wrapped(" one\n two ", "", "", 80) == "one two\n");
    CHECK(wrapped("unbreakable x", "", "", 4) == "unbreakable\nx\n");
    CHECK(wrapped("", "name", "", 80) == "name\n");
}

TEST_CASE("text: a JSON document is UTF-8 whatever its texts") {
    const nlohmann::json good{{"a", "l\u00f6we"}, {"b", {1, 2.5, nullptr}}};
    CHECK(json_text(good) == good.dump());
    const nlohmann::json bad{{"a\xff", {"b\xe4", 1}}, {"c", {{"d", "\xc3"}}}};
    CHECK(json_text(bad) == R"({"a\\xff":["b\\xe4",1],"c":{"d":"\\xc3"}})");
    CHECK(nlohmann::json::parse(json_text(bad, 2))["a\\xff"][0] == "b\\xe4");
}

TEST_CASE("table: names to the left, numbers to the right, no blanks at the end of a line") {
    const TextTable numbers{
        .lines = {{"who", "f", "time"}, {"l\u00f6we", "0.5", "1 s"}, {"a", "12", "100 s"}}, .numbers = true};
    CHECK(numbers.text() ==
          "who     f   time\n"
          "l\u00f6we  0.5    1 s\n"
          "a      12  100 s\n");
    const TextTable words{.lines = {{"id", "tags"}, {"adam", ""}, {"a\x1b", "x\ny"}}};
    CHECK(words.text() == "id     tags\nadam\na\\x1b  x\\ny\n");
}

TEST_CASE("table: a heading stands over the columns and makes none of them wider") {
    const TextTable table{.lines = {{"name", "value"}, {"a heading of its own"}, {"  a", "1"}, {"b", "20"}},
                          .numbers = true,
                          .elastic = {0}};
    CHECK(table.text() ==
          "name  value\n"
          "a heading of its own\n"
          "  a       1\n"
          "b        20\n");
    CHECK(table.text(11) ==
          "name  value\n"
          "a headin...\n"
          "  a       1\n"
          "b        20\n");
    CHECK(table.text(10) == "a headi...\n  a\n  value  1\nb\n  value  20\n");
}

TEST_CASE("table: in a narrow terminal titles are cut first, then every line becomes a block") {
    const TextTable table{.lines = {{"id", "title", "tags"},
                                    {"adam", "a title that is rather long", "classic"},
                                    {"lista", "short", "learned"}},
                          .elastic = {1}};
    const std::string whole =
        "id     title                        tags\n"
        "adam   a title that is rather long  classic\n"
        "lista  short                        learned\n";
    CHECK(table.text() == whole);
    CHECK(table.text(43) == whole);
    CHECK(table.text(36) ==
          "id     title                 tags\n"
          "adam   a title that is r...  classic\n"
          "lista  short                 learned\n");
    CHECK(table.text(24) ==
          "adam\n"
          "  title  a title that is\n"
          "    rather long\n"
          "  tags   classic\n"
          "lista\n"
          "  title  short\n"
          "  tags   learned\n");
    for (std::size_t columns = 18; columns < 45; ++columns) {
        const std::string text = table.text(columns);
        for (std::size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
            CHECK(text.find('\n', begin) - begin <= columns);
    }
}
