#include <doctest/doctest.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "framework/store/environment.hpp"
#include "framework/text/json.hpp"

using namespace l2o::framework;

TEST_CASE("environment: what the caller tells is recorded, what it does not tell is null") {
    const nlohmann::json told = environment({.version = "1.2.3", .type = "Release", .flags = "-O3"});
    CHECK(told["l2o_version"] == "1.2.3");
    CHECK(told["build"]["type"] == "Release");
    CHECK(told["build"]["flags"] == "-O3");
    const nlohmann::json untold = environment({});
    CHECK(untold["l2o_version"].is_null());
    CHECK(untold["build"]["type"].is_null());
    CHECK(untold["build"]["flags"].is_null());
}

TEST_CASE("environment: machine and date are those of this machine now") {
    const std::time_t now = std::time(nullptr);
    const nlohmann::json found = environment({});
    const std::string compiler = found["build"]["compiler"];
    CHECK((compiler.starts_with("GCC ") || compiler.starts_with("Clang ")));
    CHECK(found["cpu"]["threads"].get<int>() >= 1);
    CHECK(found["memory_bytes"].get<std::int64_t>() > 1'000'000);
    CHECK(found["kernel"].get<std::string>().starts_with("Linux "));

    std::tm parts{};
    const std::string date = found["date_utc"];
    REQUIRE(::strptime(date.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == date.c_str() + date.size());
    const std::time_t then = ::timegm(&parts);
    CHECK(then >= now);
    CHECK(then <= now + 60);
}

TEST_CASE("environment: the name of the machine is not in it") {
    char name[256] = "";
    REQUIRE(::gethostname(name, sizeof name - 1) == 0);
    const std::string text = environment({}).dump();
    // Short names ("x86", "linux") can be part of another value.
    if (std::string(name).size() > 6) CHECK(text.find(name) == std::string::npos);
}
