#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::refusal;

TEST_CASE("csv: a written file has the header, then the rows, one per line") {
    const ScratchFolder folder;
    CsvWriter csv({"method", "steps", "loss"});
    csv.add_row({"adam", 100, 0.25});
    csv.add_row({std::string("lista"), std::size_t{16}, -0.0});
    csv.write(folder / "a.csv");
    CHECK(read_file(folder / "a.csv") == "method,steps,loss\nadam,100,0.25\nlista,16,-0\n");
}

TEST_CASE("csv: commas, quotes and line breaks are quoted, nothing else is") {
    CsvWriter csv({"a,b", "c"});
    csv.add_row({"say \"hi\"", "two\nlines"});
    csv.add_row({"plain text; with 'marks'", "\r"});
    csv.add_row({"", ""});
    CHECK(csv.text() == "\"a,b\",c\n\"say \"\"hi\"\"\",\"two\nlines\"\nplain text; with 'marks',\"\r\"\n,\n");
}

TEST_CASE("csv: a double is its shortest text and reads back to the same bits") {
    CHECK(CsvCell(0.1).text() == "0.1");
    for (const double x : {1.0 / 3, 0.1 + 0.2, 1e-310, 6.02214076e23, std::numeric_limits<double>::max()})
        CHECK(std::strtod(CsvCell(x).text().c_str(), nullptr) == x);
    CHECK(CsvCell(std::numeric_limits<double>::quiet_NaN()).text() == "nan");
    CHECK(CsvCell(-std::numeric_limits<double>::infinity()).text() == "-inf");
}

TEST_CASE("csv: a large integer keeps all its digits") {
    CHECK(CsvCell(std::numeric_limits<std::int64_t>::max()).text() == "9223372036854775807");
}

TEST_CASE("csv: what was written is read back, cell by cell and bit by bit") {
    CsvWriter csv({"name", "x,y"});
    csv.add_row({"say \"hi\"", 0.1 + 0.2});
    csv.add_row({"two\nlines, a comma", -std::numeric_limits<double>::infinity()});
    csv.add_row({"", std::numeric_limits<double>::quiet_NaN()});
    const CsvTable table = CsvTable::parse(csv.text(), "a.csv");
    REQUIRE(table.rows() == 3);
    CHECK(table.header() == std::vector<std::string>{"name", "x,y"});
    CHECK(table.text(0, table.column("name")) == "say \"hi\"");
    CHECK(table.number(0, table.column("x,y")) == 0.1 + 0.2);
    CHECK(table.text(1, 0) == "two\nlines, a comma");
    CHECK(table.number(1, 1) == -std::numeric_limits<double>::infinity());
    CHECK(table.number(2, 1) != table.number(2, 1));
}

TEST_CASE("csv: a file that is cut off or is not ours is refused") {
    CHECK(refusal([] { (void)CsvTable::parse("a,b\n1,\"2", "x.csv"); }) ==
          "5 x.csv: ends within quotes; was the file cut off?");
    CHECK(refusal([] { (void)CsvTable::parse("a,b\n1,2\n3\n", "x.csv"); }) ==
          "5 x.csv: row 2 has 1 cells; expected 2, as the header has");
    const CsvTable table = CsvTable::parse("a,b\n1,2.5x\n,\n", "x.csv");
    CHECK(refusal([&] { (void)table.column("c"); }) ==
          "5 x.csv: there is no column 'c'; was it written by another version?");
    CHECK(refusal([&] { (void)table.number(0, 1); }) ==
          "5 x.csv: row 1 has '2.5x' in column 'b'; expected a number");
    CHECK(refusal([&] { (void)table.number(1, 0); }) ==
          "5 x.csv: row 2 has '' in column 'a'; expected a number");
    CHECK(refusal([] { (void)CsvTable::read("/nowhere/x.csv"); }).starts_with("5 /nowhere/x.csv"));
}
