#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;

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
